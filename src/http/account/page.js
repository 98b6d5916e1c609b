"use strict";
const form = [...document.forms].find(form => form.dataset.path === location.pathname);
const status = document.querySelector("[role=status]");
const token = new URLSearchParams(location.search).get("token");
// The token must not stay in the history or be copied with the address.
history.replaceState(null, "", location.pathname);

function message(problem) {
  // What the server says of a fault is in English.
  if (document.documentElement.lang !== "en") return status.dataset.failed;
  const faults = (problem.errors || []).map(fault => fault.detail);
  return faults.length ? faults.join(" ") : problem.detail || status.dataset.failed;
}

async function send(event) {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  if ("repeated" in fields && fields.repeated !== fields.password) {
    status.textContent = status.dataset.differ;
    return;
  }
  delete fields.repeated;
  const button = form.querySelector("button");
  button.disabled = true;
  status.textContent = "";
  try {
    // Messages are ended by their link alone, whose token is in the query; every other form sends it in the body.
    const query = form.id === "unsubscribe" ? `?${new URLSearchParams({ token })}` : "";
    const reply = await fetch(form.dataset.api + query, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token, ...fields }),
    });
    if (reply.ok) {
      form.querySelectorAll("label, button").forEach(element => element.remove());
      form.querySelector(".done").hidden = false;
    } else {
      status.textContent = message(await reply.json());
      button.disabled = false;
    }
  } catch {
    status.textContent = status.dataset.unreachable;
    button.disabled = false;
  }
}

document.title = form.querySelector("h1").textContent;
form.hidden = false;
if (token) {
  form.addEventListener("submit", send);
} else {
  form.querySelectorAll("label, button").forEach(element => element.remove());
  status.textContent = status.dataset.incomplete;
}
