/** Authorities and the certificates that they sign, made by openssl for one test. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Authority {
  readonly ca: Uint8Array;
  /** A certificate for these subject alternative names, for servers and clients. */
  sign(names: string): { readonly cert: Uint8Array; readonly key: Uint8Array };
  /** Removes its files. */
  remove(): void;
}

/** Of the machine, as in every CI image; not of a package. */
const program = "openssl";
const keyOptions = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** The caller removes it. */
export function createAuthority(name: string): Authority {
  const folder = mkdtempSync(join(tmpdir(), "litecd-ca-"));
  const file = (part: string): string => join(folder, part);
  const subject = ["-subj", `/CN=${name}`, "-days", "2"];
  openssl("req", "-x509", ...keyOptions, "-keyout", file("ca.key"), "-out", file("ca.crt"), ...subject);
  let count = 0;
  return {
    ca: readFileSync(file("ca.crt")),
    sign(names) {
      count += 1;
      const part = (kind: string): string => file(`${count}.${kind}`);
      writeFileSync(part("ext"), `subjectAltName=${names}\n`);
      openssl("req", ...keyOptions, "-keyout", part("key"), "-out", part("csr"), "-subj", `/CN=member ${count}`);
      const by = ["-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-CAcreateserial", "-days", "2"];
      openssl("x509", "-req", "-in", part("csr"), ...by, "-extfile", part("ext"), "-out", part("crt"));
      return { cert: readFileSync(part("crt")), key: readFileSync(part("key")) };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function openssl(...args: string[]): void {
  execFileSync(program, args, { stdio: "pipe" });
}
