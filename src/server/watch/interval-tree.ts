/**
 * A set of distinct intervals, each with a value, that answers which of them hold a key: a treap ordered by start,
 * where every node knows the farthest end below it. Insertion, removal and the first hit take logarithmic time.
 */
import { contains, type Interval, type KeyText } from "./ranges.js";

interface Node<T> {
  readonly interval: Interval;
  readonly value: T;
  /** A node lies above those with lower priority; drawn by a fixed generator, which keeps the tree flat. */
  readonly priority: number;
  /** Farthest end in this subtree; undefined when one of them is open. */
  farthest: KeyText | undefined;
  left: Node<T> | undefined;
  right: Node<T> | undefined;
}

export class IntervalTree<T> {
  private root: Node<T> | undefined;
  private draw = 0x9e3779b9;

  /** The value of exactly this interval. */
  get(interval: Interval): T | undefined {
    let node = this.root;
    while (node !== undefined) {
      const order = compare(interval, node.interval);
      if (order === 0) return node.value;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  /** Adds an interval that is not in the tree yet. */
  insert(interval: Interval, value: T): void {
    const [left, right] = split(this.root, interval);
    const node = {
      interval,
      value,
      priority: this.nextPriority(),
      farthest: interval.end,
      left: undefined,
      right: undefined,
    };
    this.root = join(join(left, node), right);
  }

  delete(interval: Interval): void {
    this.root = without(this.root, interval);
  }

  /** Visits the value of every interval that holds `key`, in order of their starts. */
  forEachHolding(key: KeyText, visit: (value: T) => void): void {
    walk(this.root, key, visit);
  }

  /** Whether any interval holds `key`. */
  holds(key: KeyText): boolean {
    let node = this.root;
    while (node !== undefined) {
      if (contains(node.interval, key)) return true;
      // If the left side reaches beyond the key but does not hold it, its reaching interval starts above the key,
      // and so does everything on the right.
      node = node.left !== undefined && reaches(node.left, key) ? node.left : node.right;
    }
    return false;
  }

  private nextPriority(): number {
    this.draw ^= this.draw << 13;
    this.draw ^= this.draw >>> 17;
    this.draw ^= this.draw << 5;
    return this.draw >>> 0;
  }
}

/** By start, then by end; an open end comes last. */
function compare(a: Interval, b: Interval): number {
  if (a.start !== b.start) return a.start < b.start ? -1 : 1;
  if (a.end === b.end) return 0;
  if (a.end === undefined) return 1;
  return b.end === undefined || a.end < b.end ? -1 : 1;
}

function reaches<T>(node: Node<T>, key: KeyText): boolean {
  return node.farthest === undefined || node.farthest > key;
}

function walk<T>(node: Node<T> | undefined, key: KeyText, visit: (value: T) => void): void {
  if (node === undefined || !reaches(node, key)) return;
  walk(node.left, key, visit);
  if (node.interval.start > key) return;
  if (contains(node.interval, key)) visit(node.value);
  walk(node.right, key, visit);
}

function updated<T>(node: Node<T>): Node<T> {
  let farthest = node.interval.end;
  for (const child of [node.left, node.right]) {
    if (child === undefined || farthest === undefined) continue;
    if (child.farthest === undefined || child.farthest > farthest) farthest = child.farthest;
  }
  node.farthest = farthest;
  return node;
}

/** Cuts a tree into the intervals below `at` and the others. */
function split<T>(node: Node<T> | undefined, at: Interval): [Node<T> | undefined, Node<T> | undefined] {
  if (node === undefined) return [undefined, undefined];
  if (compare(node.interval, at) < 0) {
    const [middle, right] = split(node.right, at);
    node.right = middle;
    return [updated(node), right];
  }
  const [left, middle] = split(node.left, at);
  node.left = middle;
  return [left, updated(node)];
}

/** Joins two trees of which the first lies wholly below the second. */
function join<T>(left: Node<T> | undefined, right: Node<T> | undefined): Node<T> | undefined {
  if (left === undefined) return right;
  if (right === undefined) return left;
  if (left.priority > right.priority) {
    left.right = join(left.right, right);
    return updated(left);
  }
  right.left = join(left, right.left);
  return updated(right);
}

function without<T>(node: Node<T> | undefined, interval: Interval): Node<T> | undefined {
  if (node === undefined) return undefined;
  const order = compare(interval, node.interval);
  if (order === 0) return join(node.left, node.right);
  if (order < 0) node.left = without(node.left, interval);
  else node.right = without(node.right, interval);
  return updated(node);
}
