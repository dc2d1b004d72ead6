import { createInProcessSlots } from './in-process-slots.ts';
import { slotsContract } from './slots.contract.ts';

slotsContract('in the process', async () => ({ slots: createInProcessSlots(), close: async () => {} }));
