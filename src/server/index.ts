/** The public face of the server: start a member inside a process. */
export type { ServerConfig } from "./config/config.js";
export { defaultConfig, parseConfig } from "./config/parse-config.js";
export { createLogger, type Logger, silentLogger } from "./runtime/logger.js";
export { type RunningServer, type StartOptions, startServer } from "./server.js";
