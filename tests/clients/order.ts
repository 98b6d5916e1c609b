// Places an order as a guest and as a customer with the client that @hey-api/openapi-ts generates.
import { client } from "./hey/client.gen";
import { orderGet, orderPlace, productList, userRegister } from "./hey/sdk.gen";

const baseUrl = process.env["SHOP"];
if (!baseUrl) throw new Error("SHOP must be the address of a sample shop");
client.setConfig({ baseUrl });

const found = await productList({ query: { inStock: true, limit: 1 } });
const sku = found.data?.items[0]?.variants[0]?.sku;
if (!sku) throw new Error("the shop sells nothing");

const place = (email?: string) =>
  orderPlace({
    headers: { "Idempotency-Key": crypto.randomUUID() },
    body: {
      items: [{ sku, quantity: 2 }],
      ...(email ? { email } : {}),
      shippingAddress: { name: "Ada Byron", line1: "12 Lantern Lane", city: "London", postalCode: "N1 9GU", country: "GB" },
      shippingMethod: "STANDARD",
      payment: { method: "CARD", provider: "sandbox", token: "tok_visa" },
    },
  });

const guest = await place("guest@example.com");
if (!guest.data) throw new Error(JSON.stringify(guest.error));
const guests = await orderGet({ path: { id: guest.data.id }, headers: { "X-Order-Token": guest.data.orderToken ?? "" } });
if (guests.data?.totals.total !== guest.data.totals.total) throw new Error(JSON.stringify(guests.error));

const email = `ada-${crypto.randomUUID()}@example.com`;
const login = await userRegister({ body: { email, password: "the lamps are lit at dusk" } });
if (!login.data) throw new Error(JSON.stringify(login.error));
client.setConfig({ baseUrl, auth: login.data.accessToken });
const own = await place();
if (!own.data) throw new Error(JSON.stringify(own.error));
if (own.data.userId !== login.data.user.id) throw new Error("the customer ordered as a guest");
console.log(`TypeScript: ${guest.data.number} as a guest, ${own.data.number} as a customer`);
