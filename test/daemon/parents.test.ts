/** A server that starts in place of another one of the same service reports to the service manager. */
import { expect, it } from 'vitest';
import { Parents } from '../../src/daemon/parents.ts';
import { ServiceManager } from '../../src/daemon/service-manager.ts';
import type { KeptSockets } from '../../src/keeper/kept-sockets.ts';
import { FIRST_SERVER, type History } from '../../src/keeper/protocol.ts';

/** Returns the parents of a server, and what its service manager has been told. */
function parentsWith(history: History): { parents: Parents; told: string[] } {
  const told: string[] = [];
  const socket = { send: (text: string) => told.push(text) > 0, close: () => {} };
  const keep = { history, watch: () => {}, takeOver: () => {}, close: () => {} };
  const parents = new Parents({
    manager: () => new ServiceManager(socket, 60_000),
    keep: () => keep as unknown as KeptSockets,
    onWarning: () => {},
  });
  parents.meet(
    () => {},
    () => {},
  );
  return { parents, told };
}

it.each([
  ['the first server', FIRST_SERVER, []],
  ['a server after one that has died', { ...FIRST_SERVER, deaths: 1 }, ['WATCHDOG=1']],
])('what %s tells the watchdog before it is ready', (_, history, expected) => {
  const { parents, told } = parentsWith(history);
  expect(told).toEqual(expected);
  parents.close();
});

it('a successor answers the watchdog as soon as it has the sockets', () => {
  const { parents, told } = parentsWith(FIRST_SERVER);
  parents.takeOver();
  expect(told).toEqual(['WATCHDOG=1']);
  parents.close();
});
