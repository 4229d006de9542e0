/** Authorities and what they sign: certificates good and bad, and lists of those they have revoked, as files and as text. */
import { randomBytes, webcrypto } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as X509 from "@peculiar/x509";

// The library stands on the other one and does not bring it in.
await import("reflect-metadata");
const x509 = await import("@peculiar/x509");

export interface CertificateOptions {
  readonly commonName?: string;
  /** As openssl writes them: `IP:127.0.0.1`, `DNS:localhost`. The loopback of this machine by default; none is possible. */
  readonly names?: readonly string[];
  /** What the key may be used for; both by default. */
  readonly usages?: readonly ("server" | "client")[];
  /** Hours from now; from an hour ago to in a day by default. */
  readonly validHours?: { readonly from: number; readonly until: number };
  /** "RSA" for those who only speak that; an elliptic curve by default. */
  readonly algorithm?: "EC" | "RSA";
}

/** A certificate with its key. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Hex. */
  readonly serial: string;
}

export const loopbackNames: readonly string[] = ["IP:127.0.0.1", "IP:::1", "DNS:localhost"];

const curve = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const rsa = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};
const hourMs = 3_600_000;

/** Whoever creates the first one of a family removes it. */
export class Authority {
  /** Its certificate in PEM. */
  readonly ca: string;
  readonly caFile: string;
  /** Where its files are. */
  readonly directory: string;
  readonly #certificate: X509.X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;
  /** What stands between its certificates and the root, for those they are shown to. */
  readonly #chain: string;
  #count = 0;

  private constructor(
    directory: string,
    own: { readonly certificate: X509.X509Certificate; readonly keys: webcrypto.CryptoKeyPair; readonly chain: string },
  ) {
    this.directory = directory;
    this.#certificate = own.certificate;
    this.#keys = own.keys;
    this.#chain = own.chain;
    this.ca = `${own.certificate.toString("pem")}\n`;
    this.caFile = this.write("ca.crt", this.ca);
  }

  static async create(name: string): Promise<Authority> {
    const keys = await webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...frame({}),
      name: `CN=${name}`,
      keys,
      extensions: authorityExtensions(),
    });
    return new Authority(mkdtempSync(join(tmpdir(), "litecd-ca-")), { certificate, keys, chain: "" });
  }

  /** An authority that this one vouches for; its files go with this one's. */
  async intermediate(name: string): Promise<Authority> {
    const keys = await webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      ...frame({}),
      subject: `CN=${name}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: authorityExtensions(),
    });
    const chain = `${certificate.toString("pem")}\n${this.#chain}`;
    return new Authority(mkdtempSync(join(this.directory, "intermediate-")), { certificate, keys, chain });
  }

  async issue(options: CertificateOptions = {}): Promise<Issued> {
    const { commonName, names = loopbackNames, usages = ["server", "client"], algorithm = "EC" } = options;
    const keys = await webcrypto.subtle.generateKey(algorithm === "EC" ? curve : rsa, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      ...frame(options),
      ...(commonName === undefined ? {} : { subject: `CN=${commonName}` }),
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false),
        new x509.ExtendedKeyUsageExtension(usages.map((usage) => x509.ExtendedKeyUsage[`${usage}Auth`])),
        ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names.map(alternativeName))]),
      ],
    });
    this.#count += 1;
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
    const cert = `${certificate.toString("pem")}\n${this.#chain}`;
    const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{1,64}/g, "$&\n")}-----END PRIVATE KEY-----\n`;
    const [certFile, keyFile] = [this.write(`${this.#count}.crt`, cert), this.write(`${this.#count}.key`, key)];
    return { cert, key, certFile, keyFile, serial: certificate.serialNumber };
  }

  /** A list of what this authority has revoked, in PEM. */
  async revocationList(revoked: readonly Issued[]): Promise<string> {
    const list = await x509.X509CrlGenerator.create({
      issuer: this.#certificate.subject,
      thisUpdate: new Date(Date.now() - hourMs),
      nextUpdate: new Date(Date.now() + 24 * hourMs),
      entries: revoked.map(({ serial }) => ({ serialNumber: serial, revocationDate: new Date() })),
      signingAlgorithm: curve,
      signingKey: this.#keys.privateKey,
    });
    return `${list.toString("pem").replaceAll(/(BEGIN|END) CRL/g, "$1 X509 CRL")}\n`;
  }

  /** Writes a file beside its certificates and returns its path. */
  write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What every certificate has: a serial number that never begins with a zero, its time, and how it is signed. */
function frame({ validHours = { from: -1, until: 24 } }: Pick<CertificateOptions, "validHours">) {
  const nowMs = Date.now();
  return {
    serialNumber: `5e${randomBytes(8).toString("hex")}`,
    notBefore: new Date(nowMs + validHours.from * hourMs),
    notAfter: new Date(nowMs + validHours.until * hourMs),
    signingAlgorithm: curve,
  };
}

function authorityExtensions(): X509.Extension[] {
  const { keyCertSign, cRLSign } = x509.KeyUsageFlags;
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
  ];
}

function alternativeName(name: string): { type: "ip" | "dns"; value: string } {
  const [, kind = "", value = ""] = /^(\w+):(.*)$/.exec(name) ?? [];
  return { type: kind === "IP" ? "ip" : "dns", value };
}
