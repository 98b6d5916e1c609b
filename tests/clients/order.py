"""Places an order as a guest and as a customer with the client that openapi-python-client generates."""

import os
import uuid

from promox_api_client import AuthenticatedClient, Client
from promox_api_client.api.order import order_place
from promox_api_client.api.product import product_list
from promox_api_client.api.user import user_register
from promox_api_client.models import Address, OrderPlaceBody, PaymentChoice, SkuQuantity, UserRegisterBody

shop = os.environ["SHOP"]
anyone = Client(base_url=shop, raise_on_unexpected_status=True)
sku = product_list.sync(client=anyone, in_stock=True, limit=1).items[0].variants[0].sku


def place(client, **members):
    body = OrderPlaceBody(
        items=[SkuQuantity(sku=sku, quantity=1)],
        shipping_address=Address(
            name="Ada Byron", line1="12 Lantern Lane", city="London", postal_code="N1 9GU", country="GB"
        ),
        shipping_method="STANDARD",
        payment=PaymentChoice(method="CARD", provider="sandbox", token="tok_visa"),
        **members,
    )
    answer = order_place.sync_detailed(client=client, body=body, idempotency_key=str(uuid.uuid4()))
    assert answer.status_code == 201, answer.content
    return answer.parsed


guest = place(anyone, email="guest@example.com")
email = f"ada-{uuid.uuid4()}@example.com"
login = user_register.sync(client=anyone, body=UserRegisterBody(email=email, password="the lamps are lit at dusk"))
own = place(AuthenticatedClient(base_url=shop, token=login.access_token))
assert own.user_id == login.user.id, "the customer ordered as a guest"
print(f"Python: {guest.number} as a guest, {own.number} as a customer")
