/** Endpoints as people write them. */
export interface EndpointUrl {
  /** As a gRPC channel wants it: `host:port` or `unix:path`. */
  readonly target: string;
  readonly secure: boolean;
  /** The name or address that a certificate has to be for. */
  readonly host: string;
}

/** Without a scheme, TLS is used if TLS options were given. Throws a TypeError for a scheme nobody knows. */
export function parseEndpoint(endpoint: string, tlsGiven: boolean): EndpointUrl {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(endpoint);
  const [, scheme = "", rest = ""] = match ?? /^(unixs?):(.*)$/.exec(endpoint) ?? ["", "", endpoint];
  switch (scheme.toLowerCase()) {
    case "":
      return overTcp(rest, tlsGiven);
    case "http":
      return overTcp(rest, false);
    case "https":
      return overTcp(rest, true);
    case "unix":
      return { target: `unix:${rest}`, secure: false, host: "localhost" };
    case "unixs":
      return { target: `unix:${rest}`, secure: true, host: "localhost" };
  }
  throw new TypeError(`endpoint ${JSON.stringify(endpoint)}: scheme ${JSON.stringify(scheme)} is not known`);
}

function overTcp(authorityAndPath: string, secure: boolean): EndpointUrl {
  const target = authorityAndPath.replace(/\/.*$/, "");
  const host = target.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return { target, secure, host };
}
