/** An amount in the smallest unit of its currency. */
export interface Money {
  readonly amount: bigint;
  readonly currency: string;
}

export function add(a: Money, b: Money): Money {
  if (a.currency !== b.currency) throw new RangeError(`Cannot add ${b.currency} to ${a.currency}`);
  return { amount: a.amount + b.amount, currency: a.currency };
}

export function format({ amount, currency }: Money): string {
  return `${amount / 100n}.${String(amount % 100n).padStart(2, "0")} ${currency}`;
}
