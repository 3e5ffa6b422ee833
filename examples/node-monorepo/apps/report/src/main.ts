import { format } from "@shop/money";

for (const [month, amount] of [120_000n, 98_750n, 143_005n].entries()) {
  console.log(`${month + 1}: ${format({ amount, currency: "EUR" })}`);
}
