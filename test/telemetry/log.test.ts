import { afterEach, describe, expect, it, vi } from 'vitest';
import { Log } from '../../src/telemetry/log.ts';
import { prettyLine, prettyTarget } from '../../src/telemetry/pretty-log.ts';
import { REFUSALS } from '../../src/server/types.ts';
import { OUTCOMES } from '../../src/session/session.ts';
import { KeptLog, refusalRecord, transferRecord } from '../support/reveille.ts';

afterEach(() => {
  vi.useRealTimers();
});

describe('the line of a finished transfer', () => {
  it('says who got which file, how and how fast', () => {
    const kept = new KeptLog();
    new Log('info', kept).transfer(transferRecord({ origin: 'bootSet', set: { channel: 'compute', version: 7 } }));
    const { time, ...line } = kept.lines[0]!;
    expect(line).toEqual({
      level: 'info',
      msg: 'transfer',
      client: '192.0.2.7:2070',
      local: '192.0.2.1',
      protocol: 'tftp',
      file: 'boot/linux',
      origin: 'bootSet',
      set: 'compute-7',
      bytes: 5000,
      size: 5000,
      durationMs: 250,
      waitedMs: 3,
      firstReplyMs: 4,
      blksize: 1468,
      windowsize: 4,
      retransmits: 1,
      outcome: 'complete',
    });
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it('over HTTP has nothing that only TFTP has', () => {
    const kept = new KeptLog();
    const log = new Log('debug', kept);
    log.transfer(transferRecord({ protocol: 'http', blksize: 0, windowsize: 0, retransmits: 0 }));
    log.refusal(refusalRecord({ protocol: 'http', code: 404 }));
    expect(kept.lines[0]).toMatchObject({ protocol: 'http', file: 'boot/linux', bytes: 5000, outcome: 'complete' });
    for (const key of ['blksize', 'windowsize', 'retransmits']) expect(kept.lines[0]).not.toHaveProperty(key);
    expect(kept.lines[1]).toMatchObject({ protocol: 'http', kind: 'not_found', status: 404 });
    expect(kept.lines[1]).not.toHaveProperty('errorCode');
  });

  it('names the ERROR of the client and the fault of the server', () => {
    const kept = new KeptLog();
    const log = new Log('info', kept);
    log.transfer(transferRecord({ outcome: 'clientError', errorCode: 3, errorText: 'Disk full' }));
    log.transfer(transferRecord({ outcome: 'aborted', fault: 'shutting\ndown' }));
    expect(kept.lines[0]).toMatchObject({ level: 'warn', errorCode: 3, errorText: 'Disk full' });
    expect(kept.lines[0]).not.toHaveProperty('fault');
    expect(kept.lines[1]).toMatchObject({ level: 'warn', fault: 'shutting\\x0adown' });
    expect(kept.lines[1]).not.toHaveProperty('errorCode');
  });

  it('has level warn for failures, info for successes and debug for probes', () => {
    const kept = new KeptLog();
    const log = new Log('debug', kept);
    for (const outcome of OUTCOMES) log.transfer(transferRecord({ outcome }));
    expect(Object.fromEntries(kept.lines.map((line) => [line['outcome'], line.level]))).toEqual({
      complete: 'info',
      completeUnconfirmed: 'info',
      probe: 'debug',
      clientError: 'warn',
      timeout: 'warn',
      unreachable: 'warn',
      aborted: 'warn',
      refused: 'warn',
    });
  });

  it('shows a hostile name escaped', () => {
    const kept = new KeptLog();
    new Log('info', kept).transfer(transferRecord({ file: 'a\r\n{"level":"fatal"}\x1b[2J\x9b' }));
    expect(kept.lines[0]!['file']).toBe('a\\x0d\\x0a{"level":"fatal"}\\x1b[2J\\x9b');
  });
});

describe('refusals', () => {
  it('of missing names are logged at debug only', () => {
    const kept = new KeptLog();
    new Log('info', kept).refusal(refusalRecord());
    expect(kept.lines).toEqual([]);
    new Log('debug', kept).refusal(refusalRecord({ filename: 'x\n' }));
    expect(kept.lines[0]).toMatchObject({
      level: 'debug',
      msg: 'refused',
      client: '[2001:db8::7]:1024',
      local: '2001:db8::1',
      file: 'x\\x0a',
      kind: 'not_found',
      errorCode: 1,
      reason: 'no such file',
    });
  });

  it('that no normal boot causes are logged', () => {
    const kept = new KeptLog();
    const log = new Log('debug', kept);
    for (const kind of REFUSALS) log.refusal(refusalRecord({ kind }));
    expect(Object.fromEntries(kept.lines.map((line) => [line['kind'], line.level]))).toEqual({
      not_found: 'debug',
      access: 'warn',
      too_large: 'warn',
      write: 'info',
      mode: 'info',
      route: 'debug',
      render: 'warn',
    });
  });

  it('in a flood are left out, counted, and reported as a number', () => {
    vi.useFakeTimers();
    let now = 0;
    const kept = new KeptLog();
    const log = new Log('debug', kept, () => now);
    for (let n = 0; n < 1000; n++) log.refusal(refusalRecord());
    expect(kept.lines.length).toBe(200);
    expect(log.suppressed).toEqual({ transfer: 0, failure: 0, refusal: 0, miss: 800, warning: 0 });
    vi.advanceTimersByTime(5000);
    expect(kept.lines.at(-1)).toMatchObject({
      level: 'warn',
      msg: 'log lines left out',
      kind: 'miss',
      suppressed: 800,
    });

    now = 100;
    for (let n = 0; n < 15; n++) log.refusal(refusalRecord());
    expect(kept.lines.length).toBe(211);
    vi.advanceTimersByTime(5000);
    expect(kept.lines.at(-1)).toMatchObject({ msg: 'log lines left out', suppressed: 5 });
  });

  it('have their own limit, apart from that of missing names', () => {
    const kept = new KeptLog();
    const log = new Log('debug', kept, () => 0);
    for (let n = 0; n < 500; n++) log.refusal(refusalRecord());
    for (let n = 0; n < 500; n++) log.refusal(refusalRecord({ kind: 'access', code: 2 }));
    expect(kept.lines.filter((line) => line['kind'] === 'access').length).toBe(200);
  });

  it('do not use up the limit of transfers', () => {
    const kept = new KeptLog();
    const log = new Log('debug', kept, () => 0);
    for (let n = 0; n < 500; n++) log.refusal(refusalRecord());
    for (let n = 0; n < 500; n++) log.transfer(transferRecord({ outcome: 'timeout' }));
    expect(kept.lines.filter((line) => line.msg === 'transfer').length).toBe(500);
  });
});

describe('transfers that end well', () => {
  it('are left out and counted when there are too many', () => {
    const kept = new KeptLog();
    const log = new Log('info', kept, () => 0);
    for (let n = 0; n < 20_500; n++) log.transfer(transferRecord());
    expect(kept.lines.length).toBe(20_000);
    expect(log.suppressed.transfer).toBe(500);
  });
});

describe('the log for people', () => {
  it('has time, level and message first, and quotes what would be read as several words', () => {
    const line = JSON.stringify({
      level: 'warn',
      time: '2026-01-31T12:00:00.250Z',
      file: 'a b',
      size: 5,
      msg: 'transfer',
    });
    expect(prettyLine(`${line}\n`, false)).toBe('2026-01-31 12:00:00.250 WARN  transfer file="a b" size=5\n');
    expect(prettyLine(`${line}\n`, true)).toContain('\x1b[33mWARN \x1b[0m transfer');
    expect(prettyLine('no JSON\n', false)).toBe('no JSON\n');
  });

  it('has the same destination as JSON, and cannot be forged by a name', async () => {
    const texts: string[] = [];
    let closed = false;
    const target = {
      write: (text: string) => void texts.push(text),
      close: async () => {
        closed = true;
      },
    };
    const log = new Log('info', prettyTarget(target, false));
    log.transfer(transferRecord({ file: 'a\n2026-01-31 12:00:00.000 FATAL \x1b[2J' }));
    await log.close();
    expect(texts).toHaveLength(1);
    expect(texts[0]).toMatch(/^[\x20-\x7e]+\n$/);
    expect(texts[0]).toMatch(/ INFO {2}transfer client=192\.0\.2\.7:2070 local=192\.0\.2\.1 protocol=tftp file="a/);
    expect(closed).toBe(true);
  });
});

describe('the log', () => {
  it('reports the lines left out before it closes', async () => {
    const kept = new KeptLog();
    const log = new Log('info', kept, () => 0);
    for (let n = 0; n < 300; n++) log.warning('worker lost', { reason: 'x' });
    await log.close();
    expect(kept.lines.at(-1)).toMatchObject({ msg: 'log lines left out', kind: 'warning', suppressed: 100 });
    expect(kept.closed).toBe(true);
  });

  it('shows errors by code and message, and the stack only at debug level', () => {
    const error = Object.assign(new Error('bind EADDRINUSE\n0.0.0.0:69'), { code: 'EADDRINUSE' });
    const kept = new KeptLog();
    new Log('info', kept).fatal('cannot start', error);
    new Log('debug', kept).fatal('cannot start', error);
    new Log('info', kept).fatal('odd', 'thrown text');
    expect(kept.lines[0]).toMatchObject({
      level: 'fatal',
      code: 'EADDRINUSE',
      error: 'bind EADDRINUSE\\x0a0.0.0.0:69',
    });
    expect(kept.lines[0]).not.toHaveProperty('stack');
    expect(kept.lines[1]!['stack']).toContainEqual(expect.stringContaining('log.test'));
    expect(kept.lines[2]).toMatchObject({ error: 'thrown text' });
  });

  it('escapes the details of a warning', () => {
    const kept = new KeptLog();
    new Log('info', kept).warning('cannot read', { file: 'a\x1bb', error: new Error('x\ny') });
    expect(kept.lines[0]).toMatchObject({ msg: 'cannot read', file: 'a\\x1bb', error: 'x\\x0ay' });
  });
});
