/** `litecd/otel`: OpenTelemetry spans and metrics of all clients of the process. Needs `@opentelemetry/api`. */
export { type InstrumentOptions, instrument } from "./instrument.js";
