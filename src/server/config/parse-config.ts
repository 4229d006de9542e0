/** The way in: command line, environment and config file become a config, a text to print, or one line of error. */

import { buildConfig, cautions } from "./build.js";
import type { ConfigWarning, ServerConfig } from "./config.js";
import { type DevConfig, devConfig } from "./dev.js";
import { helpText, versionText } from "./help.js";
import { ConfigError, Settings } from "./settings.js";
import {
  configFile,
  type Environment,
  readArguments,
  readConfigFile,
  readEnvironment,
  warningsOfEffect,
} from "./sources.js";

export interface ConfigSources {
  /** Words after the program's name. */
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Content of a text file; throws when it cannot be read. */
  readonly readFile: (path: string) => string;
}

export type ParsedConfig =
  | { readonly kind: "config"; readonly config: ServerConfig; readonly warnings: readonly ConfigWarning[] }
  | { readonly kind: "dev"; readonly dev: DevConfig }
  | { readonly kind: "help" | "version"; readonly text: string }
  | { readonly kind: "error"; readonly exitCode: 1 | 2; readonly message: string };

/**
 * Decides what to start with. Flag and variable may not say the same thing; a config file makes all other flags and
 * variables count for nothing (spec/server.md 13.1). Exit code 2: the command line cannot be read; 1: any other error.
 */
export function parseConfig(sources: ConfigSources): ParsedConfig {
  try {
    return parse(sources);
  } catch (error) {
    if (error instanceof ConfigError) return { kind: "error", exitCode: error.exitCode, message: error.message };
    throw error;
  }
}

/** The config of a server that is told nothing. */
export function defaultConfig(): ServerConfig {
  return buildConfig(new Settings());
}

function parse({ argv, env, readFile }: ConfigSources): ParsedConfig {
  const settings = new Settings();
  const request = readArguments(argv, settings);
  switch (request) {
    case "help":
      return { kind: "help", text: helpText() };
    case "version":
      return { kind: "version", text: versionText() };
    case "start": {
      const path = configFile(env, settings);
      return path === undefined ? fromFlags(env, settings) : fromFile(path, readFile);
    }
  }
}

function fromFlags(env: Environment, settings: Settings): ParsedConfig {
  const unknown = readEnvironment(env, settings);
  const config = buildConfig(settings);
  const dev = devConfig(settings);
  if (dev !== undefined) return { kind: "dev", dev };
  return { kind: "config", config, warnings: [...unknown, ...warningsOfEffect(settings), ...cautions(config)] };
}

function fromFile(path: string, readFile: (path: string) => string): ParsedConfig {
  const settings = new Settings();
  readConfigFile(contentOf(path, readFile), settings);
  const config = buildConfig(settings);
  const ignoring = {
    message: "the config file is used alone: other flags and variables are ignored",
    fields: { path },
  };
  return { kind: "config", config, warnings: [ignoring, ...warningsOfEffect(settings), ...cautions(config)] };
}

function contentOf(path: string, readFile: (path: string) => string): string {
  try {
    return readFile(path);
  } catch (error) {
    throw new ConfigError(`the config file cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
