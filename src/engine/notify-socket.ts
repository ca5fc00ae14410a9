/**
 * The socket for reporting a service's state to a service manager (systemd): datagrams to a path, which Node.js can't
 * send. Knows sockets; not the messages, nor their timing.
 */
import { AF_UNIX, loadLibc, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM, systemError } from './linux/libc.ts';

/** Size of sun_path in a struct sockaddr_un. */
const MAX_PATH_BYTES = 108;

export interface NotifySocket {
  /** Sends without waiting. @returns whether the datagram was sent. */
  send(text: string): boolean;
  close(): void;
}

/**
 * @param path absolute; or after an `@`, the name of an abstract socket.
 * @throws Error with the reason why it can't be opened: not on Linux, no koffi, no such path.
 */
export function openNotifySocket(path: string): NotifySocket {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  if (!/^[/@]/.test(path) || name.length >= MAX_PATH_BYTES)
    throw new Error(`expected the path of a socket, got ${path}`);
  const libc = loadLibc();
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError('socket', libc.errno());
  const family = new Uint8Array(new Uint16Array([AF_UNIX]).buffer);
  // An abstract name counts every byte; a path ends with a NUL.
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
