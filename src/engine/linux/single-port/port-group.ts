/**
 * The sockets of one listening address that all threads share: one for the main thread, which gets the requests, and one
 * for each worker. The main thread opens them, and closes none before the end: when one socket leaves its group, the
 * kernel moves another to its place, and packets for both go astray.
 */
import type { SocketKeep, SocketUse } from '../../socket-keep.ts';
import type { Address } from '../../types.ts';
import { Arena } from '../arena.ts';
import { type Libc, SO_ATTACH_REUSEPORT_CBPF, SOL_SOCKET, systemError } from '../libc.ts';
import { UdpSocket, type UdpSocketOptions } from '../udp-socket.ts';
import { INSTRUCTION_BYTES, steeringFilter } from './steering.ts';

/**
 * One socket takes in what a worker's transfers have sockets of their own for otherwise.
 * @limit Receive buffer that the Linux engine requests for each thread with `singlePort`. Shows:
 * `reveille_receive_drops_total`.
 */
const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024;

const PROGRAM_BYTES = 16;

export class PortGroup {
  readonly main: UdpSocket;
  /** By the worker's number. */
  readonly workers: readonly UdpSocket[];
  readonly isWildcard: boolean;
  readonly #keep: SocketKeep | undefined;

  /**
   * @param keep a parent that may have the sockets already. If it has those of more or fewer workers, the rest is opened
   *   or closed behind the others, and the filter is set to the number of now.
   * @throws Error with the system's code: EADDRINUSE if any other socket has the port. The first bind shares it with
   *   nobody, so two servers can't both succeed, whatever user they run as; only then is the port opened to our others.
   */
  constructor(libc: Libc, local: Address, workers: number, keep?: SocketKeep) {
    this.#keep = keep;
    this.isWildcard = local.address === '0.0.0.0' || local.address === '::';
    const receiveBufferBytes = RECEIVE_BUFFER_BYTES;
    this.main = this.#open(libc, 'tftp', local, { local, receiveBufferBytes, packetInfo: true, timestamps: true });
    const others: UdpSocket[] = [];
    this.workers = others;
    try {
      this.main.sharePort();
      for (let worker = 0; worker < workers; worker++) {
        const options = { local: this.main.local, receiveBufferBytes, packetInfo: this.isWildcard, sharesPort: true };
        others.push(this.#open(libc, `tftp-${worker}`, local, options));
        // From the second socket on there is a group; nothing is to reach the others before it has the filter.
        if (worker === 0) this.#steer(libc, workers);
      }
    } catch (cause) {
      this.close();
      throw cause;
    }
  }

  close(): void {
    for (const socket of [...this.workers, this.main]) {
      this.#keep?.release(socket.fd);
      socket.close();
    }
  }

  /** @param wanted the address of the config, by which the next process finds the socket. */
  #open(libc: Libc, use: SocketUse, wanted: Address, options: UdpSocketOptions): UdpSocket {
    const given = this.#keep?.take(use, wanted);
    const socket = new UdpSocket(libc, { ...options, given });
    if (given === undefined) this.#keep?.keep(use, wanted, socket.fd);
    return socket;
  }

  #steer(libc: Libc, workers: number): void {
    const filter = steeringFilter(this.main.family, workers);
    // struct sock_fprog: the number of instructions, and where they are.
    const memory = new Arena(libc, PROGRAM_BYTES + filter.length);
    memory.u16[0] = filter.length / INSTRUCTION_BYTES;
    memory.point(8, PROGRAM_BYTES);
    memory.bytes.set(filter, PROGRAM_BYTES);
    const program = memory.bytes.subarray(0, PROGRAM_BYTES);
    const status = libc.setsockopt(this.main.fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, PROGRAM_BYTES);
    memory.free();
    if (status < 0) throw systemError('setsockopt', libc.errno());
  }
}
