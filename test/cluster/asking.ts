/** Short ways to ask members of a cluster. */
import { vi } from "vitest";
import type { Member } from "../support/member.js";
import { type RawClient, rawClient } from "../support/raw-client.js";

/** Uses a client of one member for a moment. */
export async function on<T>(member: Member, use: (client: RawClient) => Promise<T>): Promise<T> {
  const client = rawClient(member.endpoint);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** Waits until one of these members leads. */
export function leaderAmong(members: readonly Member[]): Promise<Member> {
  const look = async (): Promise<Member> => {
    for (const member of members) {
      const { header, leader } = await on(member, (t) => t.status({}, { timeoutMs: 2000 }));
      if (header?.memberId === leader) return member;
    }
    throw new Error("nobody leads");
  };
  return vi.waitFor(look, { timeout: 10_000, interval: 50 });
}

/** The part of a failed call that tells what it failed with. */
export function like({ code, message }: { readonly code: number; readonly message: string }): object {
  return { code, details: message };
}

export function messageOf(error: { readonly details: string }): string {
  return error.details;
}
