/** Generated service definitions with the paths that their methods have on the wire. */

interface ServiceDefinition {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, { readonly name: string }>>;
}

/** The methods of a service by their generated names, each with its `path` ("/etcdserverpb.KV/Range"). */
export type MethodsOf<Service extends ServiceDefinition> = {
  readonly [Name in keyof Service["methods"]]: Service["methods"][Name] & { readonly path: string };
};

export function methodsOf<Service extends ServiceDefinition>(service: Service): MethodsOf<Service> {
  const entries = Object.entries(service.methods).map(([name, method]) => {
    return [name, { ...method, path: `/${service.fullName}/${method.name}` }] as const;
  });
  // Built name by name from `methods`, which the type of fromEntries cannot say.
  return Object.fromEntries(entries) as MethodsOf<Service>;
}
