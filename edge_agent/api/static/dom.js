// A page as a function of its state: h() describes elements, patch() makes the page match.
// Elements are kept, not rebuilt, so that a finger that is down while figures run hits its button.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Describe an element.
 * @param {string} tag name and classes: "button.primary"
 * @param {object} props attributes; `on…` functions are listeners; `key` names it among siblings
 * @param {...any} children descriptions, texts, arrays of them; null and false stand for nothing
 */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const own = { ...props };
  const key = own.key ?? null;
  delete own.key;
  const said = own.class ? classes.concat(own.class) : classes;
  if (said.length > 0) own.class = said.join(" ");
  return { name, key, props: own, children: flat(children) };
}

/** Draw an icon of the page. It says nothing to a screen reader: a text stands beside it. */
export function icon(name) {
  return h(
    "svg.icon",
    { "aria-hidden": "true", focusable: "false" },
    h("use", { href: `#icon-${name}` }),
  );
}

/** Make the children of an element match the descriptions. */
export function patch(parent, children) {
  patchChildren(parent, flat([children]));
}

function flat(children) {
  const all = [];
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === true) continue;
    all.push(typeof child === "object" ? child : String(child));
  }
  return all;
}

function patchChildren(parent, next) {
  const old = [...parent.childNodes];
  const keyed = new Map();
  for (const node of old) if (node.vKey != null) keyed.set(node.vKey, node);
  let at = 0;
  const kept = new Set();
  const wanted = next.map((child) => {
    let node = null;
    if (typeof child === "object" && child.key !== null) {
      node = keyed.get(child.key) ?? null;
      if (node && node.vName !== child.name) node = null;
    } else {
      while (at < old.length && !fits(old[at], child)) at += 1;
      if (at < old.length) node = old[at++];
    }
    if (node === null || kept.has(node)) node = create(child, parent);
    else update(node, child);
    kept.add(node);
    return node;
  });
  for (const node of old) if (!kept.has(node)) node.remove();
  wanted.forEach((node, index) => {
    if (parent.childNodes[index] !== node) parent.insertBefore(node, parent.childNodes[index] ?? null);
  });
}

function fits(node, child) {
  if (typeof child === "string") return node.nodeType === Node.TEXT_NODE;
  return node.nodeType === Node.ELEMENT_NODE && node.vKey == null && node.vName === child.name;
}

function create(child, parent) {
  if (typeof child === "string") return document.createTextNode(child);
  const inSvg = child.name === "svg" || parent.namespaceURI === SVG;
  const node = inSvg
    ? document.createElementNS(SVG, child.name)
    : document.createElement(child.name);
  node.vName = child.name;
  node.vKey = child.key;
  node.vProps = {};
  update(node, child);
  // A page gets one `autofocus` from a browser; here each field that asks for it is ready to type.
  if (child.props.autofocus) requestAnimationFrame(() => node.focus({ preventScroll: true }));
  return node;
}

function update(node, child) {
  if (typeof child === "string") {
    if (node.data !== child) node.data = child;
    return;
  }
  for (const name of Object.keys(node.vProps)) {
    if (!(name in child.props)) set(node, name, null);
  }
  for (const [name, value] of Object.entries(child.props)) {
    if (node.vProps[name] !== value) set(node, name, value);
  }
  node.vProps = child.props;
  patchChildren(node, child.children);
}

function set(node, name, value) {
  if (name.startsWith("on")) node[name] = value;
  else if (name === "value") {
    if (node.value !== value) node.value = value ?? "";
  } else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : value);
}
