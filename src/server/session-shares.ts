/** How many transfers each address and each network have, so that none takes them all. Knows counts alone. */

export class SessionShares {
  readonly #byAddress = new Map<string, number>();
  readonly #byPrefix = new Map<string, number>();

  #total = 0;

  get total(): number {
    return this.#total;
  }

  enter(address: string, prefix: string): void {
    this.#total++;
    change(this.#byAddress, address, 1);
    change(this.#byPrefix, prefix, 1);
  }

  leave(address: string, prefix: string): void {
    this.#total--;
    change(this.#byAddress, address, -1);
    change(this.#byPrefix, prefix, -1);
  }

  ofAddress(address: string): number {
    return this.#byAddress.get(address) ?? 0;
  }

  ofPrefix(prefix: string): number {
    return this.#byPrefix.get(prefix) ?? 0;
  }
}

function change(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
