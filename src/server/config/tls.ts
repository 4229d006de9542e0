/** From the flags about TLS to what ports and calls are told, and which of them contradict each other. */

import type { KeyPairFiles, NameRule, TlsConfig, TlsIdentity, TlsProtocol } from "../tls/types.js";
import { opensslName } from "./cipher-suites.js";
import type { ConfigWarning, ServerConfig } from "./config.js";
import type { FlagName, FlagValues } from "./flag-table.js";
import { ConfigError, naming } from "./settings.js";

/** The part of the config that is about TLS. Throws ConfigError. */
export function tlsConfig(values: FlagValues) {
  const protocol = protocolOf(values);
  const config = {
    clientTls: clientTlsOf(values, protocol),
    peerTls: peerTlsOf(values, protocol),
    clientCertAuth: values["client-cert-auth"],
  };
  checkListenFlags(values, clientListenFlags, { flag: "--cert-file", tls: config.clientTls });
  checkListenFlags(values, ["listen-peer-urls"], { flag: "--peer-cert-file", tls: config.peerTls });
  return config;
}

function clientTlsOf(values: FlagValues, protocol: TlsProtocol): TlsConfig {
  // Nobody is called with these, as far as clients go: the gateway needs no connection of its own.
  pairOf(values, "client-cert-file", "client-key-file");
  return {
    side: "client",
    identity: identityOf(values, pairOf(values, "cert-file", "key-file"), values["auto-tls"]),
    callerIdentity: undefined,
    requireCertificate: values["client-cert-auth"] || values["trusted-ca-file"] !== "",
    trustedCaFile: orUndefined(values["trusted-ca-file"]),
    crlFile: orUndefined(values["client-crl-file"]),
    nameRule: nameRuleOf(values, "client-cert-allowed-cn", "client-cert-allowed-hostname"),
    skipAddressCheck: true,
    protocol,
  };
}

function peerTlsOf(values: FlagValues, protocol: TlsProtocol): TlsConfig {
  return {
    side: "peer",
    identity: identityOf(values, pairOf(values, "peer-cert-file", "peer-key-file"), values["peer-auto-tls"]),
    callerIdentity: pairOf(values, "peer-client-cert-file", "peer-client-key-file"),
    requireCertificate: values["peer-client-cert-auth"] || values["peer-trusted-ca-file"] !== "",
    trustedCaFile: orUndefined(values["peer-trusted-ca-file"]),
    crlFile: orUndefined(values["peer-crl-file"]),
    nameRule: nameRuleOf(values, "peer-cert-allowed-cn", "peer-cert-allowed-hostname"),
    skipAddressCheck: values["peer-skip-client-san-verification"],
    protocol,
  };
}

/** Own files come before a certificate that is made here, as in etcd. */
function identityOf(values: FlagValues, pair: KeyPairFiles | undefined, made: boolean): TlsIdentity | undefined {
  if (pair !== undefined) return { kind: "files", ...pair };
  if (!made) return undefined;
  const validityYears = values["self-signed-cert-validity"];
  if (validityYears === 0) throw new ConfigError("--self-signed-cert-validity must be at least 1 year");
  return { kind: "selfSigned", validityYears };
}

type TextFlag = { [Name in FlagName]: FlagValues[Name] extends string ? Name : never }[FlagName];
type ListFlag = { [Name in FlagName]: FlagValues[Name] extends readonly string[] ? Name : never }[FlagName];

function pairOf(values: FlagValues, cert: TextFlag, key: TextFlag): KeyPairFiles | undefined {
  const [certFile, keyFile] = [values[cert], values[key]];
  if ((certFile === "") !== (keyFile === "")) throw new ConfigError(`--${cert} and --${key} go together`);
  return certFile === "" ? undefined : { certFile, keyFile };
}

function nameRuleOf(values: FlagValues, cnFlag: ListFlag, hostFlag: ListFlag): NameRule {
  const [commonNames, hostnames] = [values[cnFlag], values[hostFlag]];
  if (commonNames.length > 0 && hostnames.length > 0) {
    throw new ConfigError(`--${cnFlag} and --${hostFlag} exclude each other`);
  }
  if (commonNames.length > 0) return { kind: "commonNames", names: commonNames };
  return hostnames.length > 0 ? { kind: "hostnames", names: hostnames } : { kind: "any" };
}

function protocolOf(values: FlagValues): TlsProtocol {
  const suites = values["cipher-suites"];
  const [min, max] = [values["tls-min-version"], values["tls-max-version"]];
  if (min === "TLS1.3" && (max === "TLS1.2" || suites.length > 0)) {
    throw new ConfigError(
      "--tls-min-version=TLS1.3 goes neither with --tls-max-version=TLS1.2 nor with --cipher-suites",
    );
  }
  const ciphers = naming("--cipher-suites", 1, () => suites.map(opensslName));
  if (max === "TLS1.2" && ciphers.length > 0 && ciphers.every((cipher) => cipher.startsWith("TLS_"))) {
    throw new ConfigError("--cipher-suites holds suites of TLS 1.3 only, and --tls-max-version is TLS1.2");
  }
  return {
    minVersion: min === "TLS1.3" ? "TLSv1.3" : "TLSv1.2",
    maxVersion: max === "TLS1.2" ? "TLSv1.2" : "TLSv1.3",
    ciphers: [...new Set(ciphers)],
  };
}

const clientListenFlags = ["listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"] as const;

interface Served {
  readonly flag: string;
  readonly tls: TlsConfig;
}

function checkListenFlags(
  values: FlagValues,
  flags: readonly ((typeof clientListenFlags)[number] | "listen-peer-urls")[],
  { flag: certFlag, tls }: Served,
): void {
  if (tls.identity !== undefined) return;
  const auto = tls.side === "peer" ? "--peer-auto-tls" : "--auto-tls";
  for (const flag of flags) {
    const url = values[flag].find(isSecure);
    if (url === undefined) continue;
    throw new ConfigError(
      `--${flag} holds ${url}, which needs ${certFlag} and ${certFlag.replace("cert", "key")}, or ${auto}`,
    );
  }
}

function isSecure(url: string): boolean {
  return /^(https|unixs):/.test(url);
}

function orUndefined(text: string): string | undefined {
  return text === "" ? undefined : text;
}

/** What is likely a mistake: files that nothing uses, and doors that look locked. */
export function tlsCautions(config: ServerConfig): readonly ConfigWarning[] {
  const clientUrls = [...config.listenClientUrls, ...config.listenClientHttpUrls, ...config.listenMetricsUrls];
  return [
    ...cautionsOfSide(config.clientTls, clientUrls),
    ...cautionsOfSide(config.peerTls, config.listenPeerUrls),
    ...(sharesAuthority(config) ? [sharedAuthority] : []),
  ];
}

function cautionsOfSide(tls: TlsConfig, urls: readonly string[]): readonly ConfigWarning[] {
  const fields = { side: tls.side };
  const isUsed = urls.some(isSecure);
  const messages: (readonly [boolean, string])[] = [
    [tls.identity !== undefined && !isUsed, "TLS is set up, but no URL that is listened on has https: it is not used"],
    [
      tls.requireCertificate && urls.some((url) => !isSecure(url)),
      "certificates are demanded, but not from those who come to a URL without https",
    ],
    [
      !tls.requireCertificate && isUsed && (tls.nameRule.kind !== "any" || tls.crlFile !== undefined),
      "names or a revocation list are given, but no certificate is demanded: everybody is let in",
    ],
    [
      tls.requireCertificate && isUsed && tls.trustedCaFile === undefined,
      "certificates are demanded, and those of every public authority are good: no CA file is given",
    ],
    [
      isUsed && tls.side === "peer" && tls.identity?.kind === "selfSigned",
      "members encrypt what they say, and cannot know to whom: --peer-auto-tls",
    ],
  ];
  return messages.flatMap(([applies, message]) => (applies ? [{ message, fields }] : []));
}

const sharedAuthority: ConfigWarning = {
  message:
    "certificates of clients are good among members too: both trust one CA, and no --peer-cert-allowed-cn is given",
  fields: { side: "peer" },
};

function sharesAuthority({ clientTls, peerTls, listenPeerUrls }: ServerConfig): boolean {
  if (!listenPeerUrls.some(isSecure) || peerTls.nameRule.kind !== "any") return false;
  return peerTls.trustedCaFile !== undefined && peerTls.trustedCaFile === clientTls.trustedCaFile;
}
