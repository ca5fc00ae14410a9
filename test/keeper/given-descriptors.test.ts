/** The variables of socket activation. */
import { describe, expect, it } from 'vitest';
import { givenDescriptors } from '../../src/keeper/given-descriptors.ts';

describe('the environment of a service manager', () => {
  it.each<[string, Record<string, string>, number[]]>([
    ['two descriptors', { LISTEN_FDS: '2', LISTEN_PID: '7', LISTEN_FDNAMES: 'a:b' }, [3, 4]],
    ['descriptors of another process', { LISTEN_FDS: '2', LISTEN_PID: '8' }, []],
    ['no process', { LISTEN_FDS: '2' }, []],
    ['no number', { LISTEN_FDS: '-1', LISTEN_PID: '7' }, []],
    ['nothing', {}, []],
  ])('with %s', (_, variables, descriptors) => {
    const environment: Record<string, string | undefined> = { ...variables, PATH: '/bin' };
    expect(givenDescriptors(environment, 7)).toEqual(descriptors);
    expect(environment).toEqual({ PATH: '/bin' });
  });
});
