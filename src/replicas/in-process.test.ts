import { exchangeContract } from './exchange.contract.ts';
import { createInProcessExchanges } from './in-process.ts';

exchangeContract('in one process', () => {
  const another = createInProcessExchanges();
  return async () => another();
});
