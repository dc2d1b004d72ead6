import { startMcpDouble } from '../../test/mcp-double.ts';
import { doubleProgram, httpReach, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { createMcpSource } from './mcp.ts';
import { toolSourceContract } from './tool-source.contract.ts';

const version = '0.0.0';

toolSourceContract('a program', async (settings) => {
  const source = createMcpSource({
    settings: serverSettings(doubleProgram(), settings),
    version,
    bounds: testBounds(),
  });
  return { source, close: () => source.close() };
});

for (const kind of ['stateless', 'sessions'] as const) {
  toolSourceContract(`a URL, ${kind}`, async (settings) => {
    const double = await startMcpDouble(kind);
    const source = createMcpSource({
      settings: serverSettings(httpReach(double.url), settings),
      version,
      bounds: testBounds(),
    });
    const close = async () => {
      await source.close();
      await double.close();
    };
    return { source, close };
  });
}
