/**
 * Which synced watchers want a key: single keys by map, ranges by interval tree, equal intervals share one entry.
 * A put costs one look-up and the watchers it really concerns, however many others there are.
 */
import { IntervalTree } from "./interval-tree.js";
import { isSingleKey, type KeyText } from "./ranges.js";
import type { Watcher } from "./watcher.js";

export class WatcherIndex {
  private readonly keys = new Map<KeyText, Set<Watcher>>();
  private readonly ranges = new IntervalTree<Set<Watcher>>();
  private watchers = 0;

  get size(): number {
    return this.watchers;
  }

  add(watcher: Watcher): void {
    const group = this.group(watcher) ?? this.newGroup(watcher);
    group.add(watcher);
    this.watchers += 1;
  }

  remove(watcher: Watcher): void {
    const group = this.group(watcher);
    if (group === undefined || !group.delete(watcher)) return;
    this.watchers -= 1;
    if (group.size > 0) return;
    const { interval } = watcher.options;
    if (isSingleKey(interval)) this.keys.delete(interval.start);
    else this.ranges.delete(interval);
  }

  forEachWatching(key: KeyText, visit: (watcher: Watcher) => void): void {
    this.keys.get(key)?.forEach(visit);
    this.ranges.forEachHolding(key, (group) => group.forEach(visit));
  }

  private group({ options: { interval } }: Watcher): Set<Watcher> | undefined {
    return isSingleKey(interval) ? this.keys.get(interval.start) : this.ranges.get(interval);
  }

  private newGroup({ options: { interval } }: Watcher): Set<Watcher> {
    const group = new Set<Watcher>();
    if (isSingleKey(interval)) this.keys.set(interval.start, group);
    else this.ranges.insert(interval, group);
    return group;
  }
}
