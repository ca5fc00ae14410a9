/**
 * One simulated node from power-on to the end of its boot: stage after stage, name after name, as its firmware would.
 * Knows the outcome of a request but not the protocol; threads, reports and the terminal are handled elsewhere.
 */
import type { Stage } from '../plan/plan.ts';
import { expand } from '../plan/variables.ts';
import { HttpReader } from './http-reader.ts';
import type { NodeEnd, NodeIdentity, NodeSetting } from './node-setting.ts';
import { ReceivedFiles } from './received-files.ts';
import { TftpReader } from './tftp-reader.ts';

export class BootingNode {
  readonly #setting: NodeSetting;
  readonly #identity: NodeIdentity;
  readonly #tftp: TftpReader;
  readonly #http: HttpReader;

  constructor(setting: NodeSetting, identity: NodeIdentity) {
    this.#setting = setting;
    this.#identity = identity;
    const files = new ReceivedFiles(setting.expectation, setting.tell);
    this.#tftp = new TftpReader(setting, identity, files);
    this.#http = new HttpReader(setting, identity, files);
  }

  async boot(): Promise<NodeEnd> {
    const end = await this.#passAll();
    // A node that has vanished says nothing any more, not even that its connection is over.
    if (end.kind !== 'vanished') this.#http.close();
    return end;
  }

  async #passAll(): Promise<NodeEnd> {
    const { plan, tell, time, pause, stopping } = this.#setting;
    const { number, random } = this.#identity;
    for (const [index, stage] of plan.stages.entries()) {
      tell.stage(number, index);
      const { fromMs, toMs } = stage.think;
      if (toMs > 0) await pause(fromMs + random.next() * (toMs - fromMs));
      if (stopping()) return { kind: 'unfinished' };
      const begun = time();
      const end = await this.#pass(stage, index);
      if (end !== undefined) return end;
      tell.stageDone(index, time() - begun);
    }
    return { kind: 'completed' };
  }

  /** Runs one stage. @returns how the boot ended here, or undefined when it goes on. */
  async #pass(stage: Stage, index: number): Promise<NodeEnd | undefined> {
    let last = '';
    for (const template of stage.search) {
      const name = expand(template, this.#identity.variables);
      for (let turn = 1; ; turn++) {
        const found = await this.#read(stage, index, name);
        if (this.#setting.stopping()) return { kind: 'unfinished' };
        if (typeof found === 'object') return found;
        if (!found) break;
        if (turn === stage.repeat) return undefined;
      }
      last = name;
    }
    if (stage.optional) return undefined;
    const names = stage.search.length === 1 ? '' : ` nor any of ${stage.search.length - 1} names before it`;
    return { kind: 'failed', stage: index, reason: `the server has no such file${names}: ${last}` };
  }

  /** Fetches one name. @returns whether the file exists, or how the boot ended. */
  async #read(stage: Stage, index: number, name: string): Promise<boolean | NodeEnd> {
    const where = `node ${this.#identity.number}, ${stage.name}: ${name}`;
    const fetch = { stage, index, name, where };
    const profile = this.#identity.profile ?? stage.profile;
    return await (profile.via === 'tftp' ? this.#tftp.read(fetch, profile) : this.#http.read(fetch, profile));
  }
}
