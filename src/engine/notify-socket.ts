/**
 * The socket at which a service manager (systemd) is told how a service fares: datagrams to a path, which Node.js has no
 * way to send. Knows sockets; not what is said, nor when.
 */
import { AF_UNIX, loadLibc, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM, systemError } from './linux/libc.ts';

/** sun_path of a struct sockaddr_un. */
const MAX_PATH_BYTES = 108;

export interface NotifySocket {
  /** Never waits. @returns whether it has left. */
  send(text: string): boolean;
  close(): void;
}

/**
 * @param path absolute; or after an `@`, the name of an abstract socket.
 * @throws Error saying why there is none: not on Linux, no koffi, no such path.
 */
export function openNotifySocket(path: string): NotifySocket {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  if (!/^[/@]/.test(path) || name.length >= MAX_PATH_BYTES)
    throw new Error(`expected the path of a socket, got ${path}`);
  const libc = loadLibc();
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError('socket', libc.errno());
  const family = new Uint8Array(new Uint16Array([AF_UNIX]).buffer);
  // Of an abstract name every byte counts; a path ends with one that is 0.
  const address = Buffer.concat([family, name, Buffer.alloc(path.startsWith('@') ? 0 : 1)]);
  return {
    send: (text) => {
      const bytes = Buffer.from(text);
      return (
        libc.sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length) === bytes.length
      );
    },
    close: () => void libc.close(fd),
  };
}
