"use strict";
const form = [...document.forms].find(form => form.dataset.path === location.pathname);
const status = document.querySelector("[role=status]");
const token = new URLSearchParams(location.search).get("token");
// The token must not stay in the history or be copied with the address.
history.replaceState(null, "", location.pathname);

function message(problem) {
  const faults = (problem.errors || []).map(fault => fault.detail);
  return faults.length ? faults.join(" ") : problem.detail || "The request failed. Try again later.";
}

async function send(event) {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  if ("repeated" in fields && fields.repeated !== fields.password) {
    status.textContent = "The two passwords differ.";
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
    status.textContent = "The server cannot be reached. Try again.";
    button.disabled = false;
  }
}

document.title = form.querySelector("h1").textContent;
form.hidden = false;
if (token) {
  form.addEventListener("submit", send);
} else {
  form.querySelectorAll("label, button").forEach(element => element.remove());
  status.textContent = "This link is incomplete: open it from the message again.";
}
