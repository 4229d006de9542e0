/** The fault proxy of the test kit. */
export { type Flow, startTcpProxy, type TcpProxy } from "../../src/server/testing/tcp-proxy.js";
