import { createServer } from "node:http";
import { add, format, type Money } from "@shop/money";

const prices: readonly Money[] = [
  { amount: 1999n, currency: "EUR" },
  { amount: 501n, currency: "EUR" },
];

const server = createServer((_, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ total: format(prices.reduce(add)) }));
});
server.listen(Number(process.env["PORT"] ?? 3000));
process.once("SIGTERM", () => server.close());
