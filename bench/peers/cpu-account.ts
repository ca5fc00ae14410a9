/**
 * CPU time of a process and everything it ever started, children that have died included: from a cgroup (v2, else v1),
 * or else summed from /proc, which misses the time of unreaped grandchildren.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

const V2 = '/sys/fs/cgroup';
const V1 = '/sys/fs/cgroup/cpuacct';

export interface CpuAccount {
  readonly method: 'cgroup v2' | 'cgroup v1' | '/proc';
  /** Words to put before a command so that it is accounted here. */
  readonly prefix: readonly string[];
  /** @returns CPU time so far, in microseconds. @param pid process of the command, for /proc. */
  used(pid: number): number;
  close(): void;
}

export function openCpuAccount(name: string): CpuAccount {
  for (const [base, method] of [
    [V2, 'cgroup v2'],
    [V1, 'cgroup v1'],
  ] as const) {
    const folder = join(base, name);
    const usage = join(folder, method === 'cgroup v2' ? 'cpu.stat' : 'cpuacct.usage');
    try {
      mkdirSync(folder, { recursive: true });
    } catch {
      continue;
    }
    if (!existsSync(usage)) {
      rmdirSync(folder);
      continue;
    }
    return {
      method,
      prefix: ['sh', '-c', `echo $$ > ${join(folder, 'cgroup.procs')} && exec "$@"`, 'sh'],
      used: () => {
        const text = readFileSync(usage, 'utf8');
        return method === 'cgroup v2' ? Number(/usage_usec (\d+)/.exec(text)![1]) : Number(text) / 1000;
      },
      close: () => {
        try {
          rmdirSync(folder);
        } catch {
          // Zombie children that a server left behind still count as members of the group. An empty group does no harm.
        }
      },
    };
  }
  return { method: '/proc', prefix: [], used: procTree, close: () => {} };
}

/** @returns the CPU time of a process, its waited-for children, and its living descendants, in microseconds. */
function procTree(root: number): number {
  const stats = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ')[1]!.split(' ');
        const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
        return [{ pid: Number(entry), parent: Number(fields[1]), ticks }];
      } catch {
        return [];
      }
    });
  const family = new Set([root]);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const { pid, parent } of stats) if (family.has(parent)) family.add(pid);
  }
  const ticks = stats.filter(({ pid }) => family.has(pid)).reduce((sum, stat) => sum + stat.ticks, 0);
  return ticks * 10_000;
}
