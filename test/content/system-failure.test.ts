import { describe, expect, it } from 'vitest';
import { answerToFailure } from '../../src/content/system-failure.ts';

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: open '/srv/x'`), { code, syscall: 'open' });
}

describe('answerToFailure', () => {
  it.each([
    ['ENOENT', 'missing'],
    ['ENOTDIR', 'missing'],
    ['ENAMETOOLONG', 'missing'],
    ['EACCES', 'denied'],
    ['EPERM', 'denied'],
    ['ELOOP', 'denied'],
    ['EIO', 'busy'],
    ['EMFILE', 'busy'],
    ['ENFILE', 'busy'],
    ['ESTALE', 'busy'],
    ['ETIMEDOUT', 'busy'],
  ])('maps %s to %s', (code, kind) => {
    const answer = answerToFailure(failure(code));
    const reason = kind === 'missing' ? {} : { reason: `${code}: open '/srv/x'` };
    expect(answer).toEqual({ kind, ...reason });
  });

  it('rethrows an error that is not a system failure', () => {
    const fault = new TypeError('ours');
    expect(() => answerToFailure(fault)).toThrow(fault);
  });
});
