/** The node behind an address: learned, merged, replaced, forgotten. */
import { describe, expect, it } from 'vitest';
import { AddressBook } from '../../../src/boot-set/node/address-book.ts';

const A = '192.0.2.7';
const MAC = 'mac:52:54:00:00:00:01';
const OTHER = 'mac:52:54:00:00:00:02';
const UUID = 'uuid:65b6e97d-68ea-5a93-906f-433f867b7748';

describe('the address book', () => {
  it('remembers the node that named itself at an address', () => {
    const book = new AddressBook();
    expect(book.find(A, 0)).toBeUndefined();
    expect(book.learn(A, [MAC], true, 0)).toMatchObject({ node: MAC, former: undefined, renamed: undefined });
    expect(book.find(A, 1)).toEqual({ node: MAC, ids: [MAC], bySelf: true });
    expect(book.find('192.0.2.8', 1)).toBeUndefined();
  });

  it('treats ids of other kinds as further names of one machine, and uses the best of them', () => {
    const book = new AddressBook();
    book.learn(A, [UUID], true, 0);
    expect(book.learn(A, [MAC], true, 1)).toMatchObject({ node: MAC, former: undefined, renamed: UUID });
    expect(book.learn(A, [UUID], true, 2)).toMatchObject({ node: MAC, former: undefined, renamed: undefined });
    expect(book.find(A, 3)?.ids).toEqual([MAC, UUID]);
  });

  it('names the previous node when another machine sends from its address', () => {
    const book = new AddressBook();
    book.learn(A, [MAC, UUID], true, 0);
    expect(book.learn(A, [OTHER], true, 1)).toMatchObject({ node: OTHER, ids: [OTHER], former: MAC });
    // The UUID left with the machine that had it.
    expect(book.find(A, 2)?.ids).toEqual([OTHER]);
  });

  it('distinguishes the name that a machine sent from the entry of a table', () => {
    const book = new AddressBook();
    book.learn(A, [MAC], false, 0);
    expect(book.find(A, 0)?.bySelf).toBe(false);
    book.learn(A, [MAC], true, 1);
    book.learn(A, [MAC], false, 2);
    expect(book.find(A, 2)?.bySelf).toBe(true);
    book.learn(A, [OTHER], false, 3);
    expect(book.find(A, 3)).toMatchObject({ node: OTHER, bySelf: false });
  });

  it('forgets after two hours of silence, and to make room', () => {
    const book = new AddressBook(2);
    book.learn(A, [MAC], true, 0);
    expect(book.find(A, 7_200_000)?.node).toBe(MAC);
    expect(book.find(A, 14_400_001)).toBeUndefined();
    for (const last of [1, 2, 3]) book.learn(`192.0.2.${last}`, [MAC], true, 20_000_000);
    expect(book.find('192.0.2.1', 20_000_000)).toBeUndefined();
    expect(book.find('192.0.2.3', 20_000_000)?.node).toBe(MAC);
  });

  it('keeps a guess for an address in doubt, until a machine there names itself', () => {
    const book = new AddressBook();
    book.learn(A, [MAC], true, 0);
    expect(book.presumed(A)).toEqual([]);
    book.doubt(A, 0);
    expect([book.find(A, 1), book.presumed(A)]).toEqual([undefined, [MAC]]);
    // Any new node leaves the pins of the former one untouched.
    expect(book.learn(A, [OTHER], true, 2)).toMatchObject({ node: OTHER, former: undefined, renamed: undefined });
    expect(book.presumed(A)).toEqual([]);
  });
});
