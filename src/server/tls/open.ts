/** The room's face: from what a server is told to what its ports and its calls use. Files are read here for the first time. */

import type { Logger } from "../runtime/logger.js";
import type { Admission } from "./acceptor.js";
import { systemNames } from "./caller-address.js";
import { Credentials } from "./credentials.js";
import { TlsDialer } from "./dialer.js";
import { RevocationList } from "./revocation.js";
import { selfSignedPair } from "./self-signed.js";
import {
  type KeyPairFiles,
  namedCa,
  namedCrl,
  namedPair,
  type TlsConfig,
  type TlsIdentity,
  type TlsProtocol,
} from "./types.js";

export interface TlsSurroundings {
  /** Where a pair is kept that the server makes itself. */
  readonly directory: string;
  /** Names and addresses of the ports. */
  readonly hosts: readonly string[];
  readonly logger: Logger;
}

export interface OpenedTls {
  /** Undefined without a certificate to show: nothing can be served. */
  readonly admission: Admission | undefined;
  readonly dialer: TlsDialer;
}

/** Rejects with TlsRefused. */
export async function openTls(config: TlsConfig, around: TlsSurroundings): Promise<OpenedTls> {
  const { side, identity, callerIdentity, nameRule: rule, protocol } = config;
  const { logger } = around;
  const files = identity === undefined ? undefined : await filesOf(identity, around);
  const crl = namedCrl(config);
  const revocation = crl === undefined ? undefined : new RevocationList(crl, logger);
  const ca = namedCa(config);
  const pair = files === undefined ? undefined : namedPair(side, files);
  const credentials = new Credentials({ pair, ca, protocol }, logger);
  const callers =
    callerIdentity === undefined
      ? credentials
      : new Credentials({ pair: namedPair("caller", callerIdentity), ca, protocol }, logger);
  const verify = identity?.kind === "selfSigned" ? "nobody" : "authority";
  const names = side === "peer" && !config.skipAddressCheck ? systemNames : undefined;
  const { requireCertificate } = config;
  return {
    admission: files === undefined ? undefined : { credentials, requireCertificate, rule, revocation, names },
    dialer: new TlsDialer({ credentials: () => callers, verify, rule, revocation }),
  };
}

const plainProtocol: TlsProtocol = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3", ciphers: [] };

/** For members that are told nothing about TLS: they call others that have it by Node's own list of roots. */
export function defaultDialer(logger: Logger): TlsDialer {
  let loaded: Credentials | undefined;
  const credentials = (): Credentials =>
    (loaded ??= new Credentials({ pair: undefined, ca: undefined, protocol: plainProtocol }, logger));
  return new TlsDialer({ credentials, verify: "authority", rule: { kind: "any" }, revocation: undefined });
}

async function filesOf(identity: TlsIdentity, around: TlsSurroundings): Promise<KeyPairFiles> {
  switch (identity.kind) {
    case "files":
      return identity;
    case "selfSigned":
      return selfSignedPair({ ...around, validityYears: identity.validityYears });
  }
}
