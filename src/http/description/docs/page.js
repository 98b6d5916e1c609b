// Shows /openapi.json: services, their operations, and the requests and responses of each.
"use strict";

function make(tag, text, attributes) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  return element;
}

function resolve(description, ref) {
  return ref.split("/").slice(1).reduce((at, part) => at && at[part], description);
}

// An example-like outline of a schema. `open` holds the enclosing references, so that a recursive schema ends.
function outline(description, schema, open) {
  if (!schema || schema === true) return "any";
  if (schema.$ref) {
    if (open.includes(schema.$ref)) return schema.$ref.split("/").pop();
    return outline(description, resolve(description, schema.$ref), open.concat(schema.$ref));
  }
  const variants = schema.oneOf || schema.anyOf;
  if (variants) {
    const shown = variants.filter((variant) => variant.type !== "null").map((v) => outline(description, v, open));
    return shown.length === 1 ? shown[0] : { "one of": shown };
  }
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return schema.const;
  const type = Array.isArray(schema.type) ? schema.type.filter((name) => name !== "null").join(" | ") : schema.type;
  if (type === "array") return [outline(description, schema.items, open)];
  if (type === "object" || schema.properties) {
    const members = {};
    for (const [name, member] of Object.entries(schema.properties || {})) {
      const needed = (schema.required || []).includes(name);
      members[needed ? name : name + "?"] = outline(description, member, open);
    }
    if (schema.additionalProperties) members["…"] = outline(description, schema.additionalProperties, open);
    return members;
  }
  return schema.format ? type + " (" + schema.format + ")" : type || "any";
}

function access(operation) {
  if (operation["x-own"]) return "user (own) or " + operation["x-permission"];
  if (operation["x-permission"]) return operation["x-permission"];
  // An empty object among the alternatives stands for no credentials.
  if ((operation.security || []).some((item) => Object.keys(item).length === 0)) return "anyone";
  const schemes = (operation.security || []).flatMap((item) => Object.keys(item));
  if (schemes.length === 0) return "anyone";
  return schemes.includes("cartToken") ? "guest or user" : "user";
}

// The members of a schema with their descriptions.
function memberTable(description, schema) {
  while (schema && schema.$ref) schema = resolve(description, schema.$ref);
  const described = Object.entries((schema && schema.properties) || {}).filter(([, member]) => member.description);
  if (described.length === 0) return [];
  const table = make("table");
  for (const [name, member] of described) {
    const row = make("tr");
    row.append(make("td", name + ((schema.required || []).includes(name) ? "" : "?")), make("td", member.description));
    table.append(row);
  }
  return [table];
}

function bodies(description, parent, title, content) {
  for (const [media, { schema, example }] of Object.entries(content || {})) {
    parent.append(make("h3", title + " · " + media));
    const shown = outline(description, schema, []);
    parent.append(make("pre", typeof shown === "string" ? shown : JSON.stringify(shown, null, 2)));
    parent.append(...memberTable(description, schema));
    if (example) parent.append(make("h3", "Example"), make("pre", JSON.stringify(example, null, 2)));
  }
}

// A form that sends the operation to this server, with the curl command for the same request.
function tryForm(description, path, method, operation) {
  const form = make("form");
  const parameters = operation.parameters.map((item) => (item.$ref ? resolve(description, item.$ref) : item));
  const field = (name, place, value) => {
    const label = make("label", name + " ");
    const input = make(place === "body" ? "textarea" : "input", undefined, { name, "data-place": place });
    input.value = value || "";
    label.append(input);
    form.append(label);
    return input;
  };
  field("access token or API key", "token", sessionStorage.getItem("token")).type = "password";
  for (const { name, in: place } of parameters) field(name, place);
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  if (content) field("body", "body", content.example ? JSON.stringify(content.example, null, 2) : "{}");
  const [send, command, answer] = [make("button", "Send"), make("pre"), make("pre")];
  answer.setAttribute("aria-live", "polite");
  form.append(send, make("h3", "curl"), command, answer);

  function request() {
    const given = (place) =>
      [...form.elements].filter((input) => input.dataset.place === place && input.value !== "");
    const filled = given("path").reduce(
      (at, { name, value }) => at.replace("{" + name + "}", encodeURIComponent(value)), path);
    const query = new URLSearchParams(given("query").map(({ name, value }) => [name, value])).toString();
    const headers = Object.fromEntries(given("header").map(({ name, value }) => [name, value]));
    const [token] = given("token");
    if (token) headers.authorization = "Bearer " + token.value;
    const [body] = given("body");
    if (body) headers["content-type"] = "application/json";
    return { url: location.origin + filled + (query && "?" + query), headers, body: body && body.value, token };
  }
  function showCommand() {
    const { url, headers, body } = request();
    const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
    const secret = (name, value) => (name === "authorization" ? "Bearer $TOKEN" : value);
    const parts = ["curl -X " + method.toUpperCase(), quote(url)];
    for (const [name, value] of Object.entries(headers)) {
      const text = name + ": " + secret(name, value);
      parts.push("-H " + (name === "authorization" ? '"' + text + '"' : quote(text)));
    }
    if (body) parts.push("-d " + quote(body));
    command.textContent = parts.join(" ");
  }
  form.addEventListener("input", showCommand);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { url, headers, body, token } = request();
    if (token) sessionStorage.setItem("token", token.value);
    try {
      const reply = await fetch(url, { method: method.toUpperCase(), headers, body });
      const text = await reply.text();
      const isJson = (reply.headers.get("content-type") || "").includes("json");
      answer.textContent = reply.status + "\n" + (isJson ? JSON.stringify(JSON.parse(text), null, 2) : text);
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  showCommand();
  return form;
}

function parameterTable(description, parameters) {
  const table = make("table");
  for (let parameter of parameters) {
    if (parameter.$ref) parameter = resolve(description, parameter.$ref);
    const row = make("tr");
    row.append(make("td", parameter.name + (parameter.required ? "" : "?")), make("td", parameter.in));
    const shown = outline(description, parameter.schema, []);
    row.append(make("td", typeof shown === "string" ? shown : JSON.stringify(shown)));
    row.append(make("td", parameter.description || ""));
    table.append(row);
  }
  return table;
}

function details(description, path, method, operation) {
  const inside = make("div");
  inside.append(make("p", operation.operationId));
  if (operation.parameters.length > 0) {
    inside.append(make("h3", "Parameters"), parameterTable(description, operation.parameters));
  }
  if (operation.requestBody) bodies(description, inside, "Body", operation.requestBody.content);
  for (const [status, response] of Object.entries(operation.responses)) {
    if (response.$ref) continue;
    bodies(description, inside, "Response " + status, response.content);
    if (!response.content) inside.append(make("h3", "Response " + status));
  }
  const errors = Object.keys(operation.responses).filter((status) => operation.responses[status].$ref);
  inside.append(make("p", "Errors: " + errors.join(", ")));
  inside.append(make("h3", "Try it"), tryForm(description, path, method, operation));
  return inside;
}

function row(description, path, method, operation) {
  const element = make("details", undefined, { id: operation.operationId });
  const summary = make("summary");
  summary.append(make("span", method.toUpperCase(), { class: "method" }), make("code", path));
  summary.append(make("span", operation.summary), make("span", access(operation), { class: "access" }));
  element.append(summary);
  element.dataset.words = [path, operation.operationId, operation.summary].join(" ").toLowerCase();
  element.addEventListener("toggle", () => {
    if (!element.open) return;
    if (element.children.length === 1) element.append(details(description, path, method, operation));
    history.replaceState(null, "", "#" + operation.operationId);
  });
  return element;
}

function show(description) {
  document.title = description.info.title;
  document.getElementById("title").textContent = description.info.title + " " + description.info.version;
  document.getElementById("about").textContent = description.info.description;
  const main = document.getElementById("operations");
  main.textContent = "";
  for (const { name } of description.tags) {
    const section = make("section", undefined, { id: name });
    section.append(make("h2", name));
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags[0] === name) section.append(row(description, path, method, operation));
      }
    }
    main.append(section);
    document.getElementById("services").append(make("a", name, { href: "#" + name }));
  }
}

// Opens the operation that the address names, such as /docs#order.place.
function openLinked() {
  const element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!element) return;
  if (element.tagName === "DETAILS") element.open = true;
  element.scrollIntoView();
}

function filter(words) {
  const wanted = words.toLowerCase().split(/\s+/);
  for (const element of document.querySelectorAll("details")) {
    element.hidden = !wanted.every((word) => element.dataset.words.includes(word));
  }
}

document.getElementById("find").addEventListener("input", (event) => filter(event.target.value));
addEventListener("hashchange", openLinked);
fetch("/openapi.json")
  .then((response) => response.json())
  .then(show)
  .then(openLinked)
  .catch((error) => { document.getElementById("operations").textContent = "The description could not be loaded: " + error; });
