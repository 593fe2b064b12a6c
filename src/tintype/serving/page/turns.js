// @ts-check
/** So many things at a time; the others wait their turn, those that are urgent by then first. */

export class Turns {
  /** @param {number} places */
  constructor(places) {
    this.free = places;
    /** @type {{go: () => void, urgent: () => boolean}[]} */
    this.waiting = [];
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @param {() => boolean} [urgent]
   * @returns {Promise<T>}
   */
  async take(work, urgent = () => false) {
    if (this.free > 0) this.free -= 1;
    else await new Promise((resolve) => this.waiting.push({ go: () => resolve(undefined), urgent }));
    try {
      return await work();
    } finally {
      const first = this.waiting.findIndex((one) => one.urgent());
      const [next] = this.waiting.splice(Math.max(first, 0), 1);
      if (next) next.go();
      else this.free += 1;
    }
  }
}
