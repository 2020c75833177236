/** A way to a server that leads through this process: it stands still when this process does. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

const HOST = '127.0.0.1'

export class Way {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(port: number) {
    this.#server = createServer((socket) => this.#lead(socket, port))
  }

  /** To a port of this machine. */
  static async to(port: number): Promise<Way> {
    const way = new Way(port)
    await new Promise<void>((done, failed) => {
      way.#server.once('error', failed)
      way.#server.listen(0, HOST, done)
    })
    return way
  }

  get endpoint(): string {
    return `http://${HOST}:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #lead(socket: Socket, port: number): void {
    const onward = connect(port, HOST)
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(one)
      one.pipe(other)
      one.on('error', () => undefined) // whatever ends one end, ends the other
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
  }
}
