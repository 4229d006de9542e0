/**
 * The public face of `litecd/discovery`: services that say where they are, and clients that find them.
 *
 * @module litecd/discovery
 */
export { endpoints, type ServiceEndpoint } from "./endpoints.js";
export { type RegisterOptions, register, type ServiceRegistration } from "./register.js";
export { registerEtcdResolver } from "./resolver.js";
