import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../src/content/memory-source.ts';
import { ask, askContent, onWire, read } from './fixture.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('MemorySource', () => {
  it('serves the given bytes under clean names, in both modes', async () => {
    const source = new MemorySource(
      new Map([
        ['boot/x', bytes('a\n')],
        ['größe', bytes('1')],
        ['empty', bytes('')],
      ]),
    );
    expect(await read(source, '\\boot//x\xff')).toBe('a\n');
    expect(await read(source, 'boot/x', 'netascii')).toBe('a\r\n');
    expect(await read(source, onWire('größe'))).toBe('1');
    expect(await read(source, 'empty')).toBe('');
    expect((await ask(source, 'boot')).kind).toBe('missing');
    expect((await ask(source, '../boot/x')).kind).toBe('denied');
  });

  it('makes one shared copy however often it is asked, and a new one for new bytes', async () => {
    const files = new Map([['x', bytes('old')]]);
    const source = new MemorySource(files);
    const first = await askContent(source, 'x');
    const second = await askContent(source, 'x');
    expect(second.handle).toBe(first.handle);
    first.release();
    first.release();
    files.set('x', bytes('new'));
    expect(await read(source, 'x')).toBe('new');
    files.delete('x');
    expect((await ask(source, 'x')).kind).toBe('missing');
  });

  it('answers within the turn of the event loop in which it was asked', async () => {
    const source = new MemorySource(new Map([['x', bytes('text')]]));
    let turned = false;
    setImmediate(() => (turned = true));
    await read(source, 'x');
    await ask(source, 'nothing');
    expect(turned).toBe(false);
  });
});
