/** The HTTP API: access, arguments and answers. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { formatAddress } from '../../src/text/address-text.ts';
import { startAdmin } from '../../src/admin/admin-server.ts';
import type { ApiOptions, VerbEnd } from '../../src/admin/api.ts';

const TOKEN = '0123456789abcdef';

async function api(run: ApiOptions['run']) {
  const admin = await startAdmin({
    listen: { address: '127.0.0.1', port: 0 },
    notReady: () => undefined,
    metrics: () => Promise.resolve(''),
    metricsType: 'text/plain',
    api: { token: TOKEN, run },
  });
  onTestFinished(() => admin.close());
  const url = `http://${formatAddress(admin.address)}/api/v1`;
  return (verb: string, body: unknown = {}, authorization = `Bearer ${TOKEN}`) =>
    fetch(`${url}/${verb}`, {
      method: 'POST',
      headers: { authorization },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
}

const FINE: VerbEnd = { code: 0, stdout: '{"fine":true}\n', stderr: '' };

describe('the API', () => {
  it('runs a verb with its arguments, and answers what it prints', async () => {
    const ran: unknown[] = [];
    const ask = await api((verb, args) => {
      ran.push([verb, ...args]);
      return Promise.resolve(FINE);
    });
    const response = await ask('publish', {
      arguments: ['rack', '/srv/a', '--not-a-flag', 7],
      label: { build: '1', site: 'x=y' },
      kernelArgs: 'quiet',
      keep: true,
      candidate: false,
      percent: 25,
      note: ['a', 'b'],
    });
    expect([response.status, await response.json()]).toEqual([200, { fine: true }]);
    expect(ran).toEqual([
      [
        'publish',
        '--label=build=1',
        '--label=site=x=y',
        '--kernel-args=quiet',
        '--keep',
        '--percent=25',
        '--note=a',
        '--note=b',
        '--',
        'rack',
        '/srv/a',
        '--not-a-flag',
        '7',
      ],
    ]);
    expect((await ask('channels', '')).status).toBe(200);
  });

  it.each(['', 'Bearer', 'Bearer 0123456789abcdeX', `Basic ${TOKEN}`, `Bearer ${TOKEN}0`])(
    'is closed to %j',
    async (authorization) => {
      const ask = await api(() => Promise.reject(new Error('ran')));
      expect((await ask('channels', {}, authorization)).status).toBe(401);
    },
  );

  it.each<[string, unknown, number]>([
    ['serve', {}, 404],
    ['storm', {}, 404],
    ['channels', 'no json', 400],
    ['channels', [], 400],
    ['channels', null, 400],
    ['channels', { store: '/etc' }, 400],
    ['channels', { json: true }, 400],
    ['channels', { '--store': '/etc' }, 400],
    ['channels', { 'store=/etc': true }, 400],
    ['versions', { arguments: 'rack' }, 400],
    ['versions', { arguments: [{}] }, 400],
    ['versions', { arguments: ['a\0b'] }, 400],
    ['publish', { label: { a: {} } }, 400],
    ['publish', '{"label":{"release":1.10}}', 400],
    ['versions', { arguments: Array.from({ length: 257 }, () => 'x') }, 400],
    ['versions', `{"arguments":["${'x'.repeat(65_536)}"]}`, 413],
  ])('rejects %s %j', async (verb, body, status) => {
    const ask = await api(() => Promise.reject(new Error('ran')));
    const response = await ask(verb, body);
    expect([response.status, typeof ((await response.json()) as { error: string }).error]).toEqual([status, 'string']);
  });

  it.each<[VerbEnd, number, unknown]>([
    [
      { code: 2, stdout: '', stderr: 'reveille: channel "x": there is none' },
      400,
      { error: 'channel "x": there is none' },
    ],
    [{ code: 1, stdout: '', stderr: 'reveille: disk full' }, 500, { error: 'disk full' }],
    [{ code: undefined, stdout: '', stderr: '' }, 500, { error: 'ended with a signal' }],
    // A damaged store is an answer, not a failure of the API.
    [{ code: 1, stdout: '{"whole":false}', stderr: '' }, 200, { whole: false }],
  ])('answers %j', async (end, status, body) => {
    const ask = await api(() => Promise.resolve(end));
    const response = await ask('verify');
    expect([response.status, await response.json()]).toEqual([status, body]);
  });

  it('runs four at a time', async () => {
    const waiting: (() => void)[] = [];
    let began: () => void = () => {};
    const allBegun = new Promise<void>((resolve) => {
      began = resolve;
    });
    const ask = await api(
      () =>
        new Promise((resolve) => {
          waiting.push(() => resolve(FINE));
          if (waiting.length === 4) began();
        }),
    );
    const running = Array.from({ length: 4 }, () => ask('gc'));
    await allBegun;
    expect((await ask('gc')).status).toBe(503);
    for (const finish of waiting) finish();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(waiting).toHaveLength(4);
  });

  it('does not exist without a token', async () => {
    const admin = await startAdmin({
      listen: { address: '127.0.0.1', port: 0 },
      notReady: () => undefined,
      metrics: () => Promise.resolve(''),
      metricsType: 'text/plain',
    });
    onTestFinished(() => admin.close());
    const response = await fetch(`http://${formatAddress(admin.address)}/api/v1/channels`, { method: 'POST' });
    expect(response.status).toBe(404);
  });
});
