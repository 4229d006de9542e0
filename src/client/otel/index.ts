/**
 * `litecd/otel`: OpenTelemetry spans and metrics of all clients of the process. Needs `@opentelemetry/api`.
 *
 * @module litecd/otel
 */
export { type InstrumentOptions, instrument } from "./instrument.js";
