/**
 * Index of a rack's nodes by id and name, in the main thread. Nodes stay packed until they are requested, so that
 * taking over ten thousand of them does not block the thread. Reads no files.
 */
import { type NodeId, uuidNode } from '../boot-set/node/node-identity.ts';
import type { PackedInventory } from './jobs.ts';
import type { Inventory, InventoryNode } from './types.ts';

export class NodeInventory implements Inventory {
  readonly file: string;
  readonly #packed: readonly string[];
  readonly #nodes: (InventoryNode | undefined)[];
  readonly #byId = new Map<string, number>();

  constructor({ file, nodes, ids }: PackedInventory) {
    this.file = file;
    this.#packed = nodes;
    this.#nodes = Array.from({ length: nodes.length });
    let index = 0;
    for (const line of nodes.length === 0 ? [] : ids.split('\n')) {
      for (const id of line.split(' ')) this.#byId.set(id, index);
      index++;
    }
  }

  get size(): number {
    return this.#packed.length;
  }

  find(id: NodeId): InventoryNode | undefined {
    const index = this.#byId.get(id.startsWith('uuid:') ? (uuidNode(id.slice('uuid:'.length)) ?? id) : id);
    return index === undefined ? undefined : this.#node(index);
  }

  named(name: string): InventoryNode | undefined {
    return this.find(`name:${name}`);
  }

  labelsOf(id: NodeId): Readonly<Record<string, string>> | undefined {
    return this.find(id)?.labels;
  }

  *nodes(): Iterable<InventoryNode> {
    for (let index = 0; index < this.#packed.length; index++) yield this.#node(index);
  }

  /** Returns the node as JSON, the form that threads get. */
  packed(node: InventoryNode): string {
    return this.#packed[this.#byId.get(`name:${node.name}`)!]!;
  }

  #node(index: number): InventoryNode {
    this.#nodes[index] ??= JSON.parse(this.#packed[index]!) as InventoryNode;
    return this.#nodes[index];
  }
}
