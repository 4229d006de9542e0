/** Channel credentials whose handshakes are ours: grpc-js would ask for an address as if it were a name, and says little. */
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import type { Door } from "./door.js";

type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

export class DoorCredentials extends ChannelCredentials {
  private readonly door: Door;

  constructor(door: Door) {
    super();
    this.door = door;
  }

  override _isSecure(): boolean {
    return this.door.secure;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  /** grpc-js asks for one per address and uses it for every attempt at it. */
  override _createSecureConnector(_target: unknown, _options: unknown, calls?: CallCredentials): Connector {
    const attempt = this.door.attempt();
    const { secure } = this.door;
    return {
      waitForReady: () => attempt.begin(),
      connect: async (socket) => ({ socket: await attempt.open(socket), secure }),
      getCallCredentials: () => calls ?? CallCredentials.createEmpty(),
      destroy: () => attempt.end(),
    };
  }
}
