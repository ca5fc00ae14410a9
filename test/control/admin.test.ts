import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Admin, startAdmin } from '../../src/control/admin.ts';
import { formatAddress } from '../../src/control/address-text.ts';

async function admin(change: Partial<Parameters<typeof startAdmin>[0]> = {}): Promise<{ admin: Admin; url: string }> {
  const started = await startAdmin({
    listen: { address: '127.0.0.1', port: 0 },
    isReady: () => true,
    metrics: () => Promise.resolve('reveille_up 1\n'),
    metricsType: 'text/plain; version=0.0.4; charset=utf-8',
    ...change,
  });
  onTestFinished(() => started.close());
  return { admin: started, url: `http://${formatAddress(started.address)}` };
}

describe('the admin address', () => {
  it('says where it is when asked for any port', async () => {
    const { admin: started } = await admin();
    expect(started.address.address).toBe('127.0.0.1');
    expect(started.address.port).toBeGreaterThan(0);
  });

  it('is healthy while alive, ready only when the server is', async () => {
    let ready = false;
    const { url } = await admin({ isReady: () => ready });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    ready = true;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('serves metrics in the format of Prometheus', async () => {
    const { url } = await admin();
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toBe('reveille_up 1\n');
  });

  it('answers 500 when metrics fail, without saying why to strangers, and lives on', async () => {
    const { url } = await admin({ metrics: () => Promise.reject(new TypeError('/secret/path')) });
    const response = await fetch(`${url}/metrics`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('has an index in plain text, and nothing else', async () => {
    const { url } = await admin();
    const index = await fetch(url);
    expect(index.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await index.text()).toContain('/metrics');
    expect((await fetch(`${url}/etc/passwd`)).status).toBe(404);
    expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(404);
  });

  it('closes at once, idle connections too', async () => {
    const { admin: started } = await admin();
    const socket = connect(started.address.port, started.address.address);
    await once(socket, 'connect');
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    await started.close();
    await closed;
    expect(socket.destroyed).toBe(true);
  });

  it('in use is an error with the code of the system', async () => {
    const { admin: started } = await admin();
    await expect(admin({ listen: started.address })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
