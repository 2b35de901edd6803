// The page's controls are one form; what they say is also in the page's address, so that a link shows the same.

const form = byId("controls");
const controls = () => [...form.elements].filter(({ name }) => name);

/** Values by name; of boxes with one name those that are checked, comma-separated. */
function settings() {
  const data = new FormData(form);
  return Object.fromEntries(controls().map(({ name }) => [name, data.getAll(name).join(",")]));
}

/** Set all controls; those that are not named, or named with what they cannot be, take their defaults. */
function setControls(values, defaults) {
  for (const control of controls()) {
    const given = values[control.name] ?? defaults[control.name];
    if (["checkbox", "radio"].includes(control.type)) control.checked = given.split(",").includes(control.value);
    else control.value = given;
    if (control.type.startsWith("select") && control.value !== given) control.value = defaults[control.name];
  }
}

/** What an address says, by name. */
const fromAddress = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

/** Put what differs from the defaults into the address. */
function toAddress(values, defaults) {
  const differ = Object.entries(values).filter(([name, value]) => value !== (defaults[name] ?? ""));
  const text = new URLSearchParams(differ).toString().replaceAll("%2C", ",");
  if (text !== location.hash.slice(1)) history.replaceState(null, "", `#${text}`);
}

/** Numbers as a text for an address, and back; null if one is none or they are not `many`. */
const numbersText = (numbers) => numbers.map((n) => Number(n.toPrecision(7))).join(",");
function numbersOf(text, many) {
  const numbers = text?.split(",").map(Number) ?? [NaN];
  return numbers.every(Number.isFinite) && (many === undefined || numbers.length === many) ? numbers : null;
}
