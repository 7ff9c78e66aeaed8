// Filters over what stands on the page; the address keeps them, so that any view can be linked to.
const form = document.querySelector(".filters")
const command = document.querySelector("#command")
const rows = [...document.querySelectorAll("[data-suite]")]
const keys = ["suite", "encoder", "method", "task"]

function matches(element, wanted) {
  const fits = keys.every(key => {
    const has = element.dataset[key]
    return !wanted[key] || has === undefined || has.split("\n").includes(wanted[key])
  })
  return fits && (!wanted.text || element.textContent.toLowerCase().includes(wanted.text.toLowerCase()))
}

function show() {
  const wanted = Object.fromEntries(new FormData(form))
  for (const element of rows) element.hidden = !matches(element, wanted)
  for (const part of document.querySelectorAll("[data-rows]")) {
    const name = wanted[part.dataset.rows]
    for (const line of part.querySelectorAll("tbody tr"))
      line.hidden = Boolean(name) && line.cells[0].textContent.split("~")[0] !== name
  }
  for (const badge of document.querySelectorAll(".tally .verdict")) {
    const verdict = badge.className.split(" ")[1]
    const counted = document.querySelectorAll(`ul.claims > li:not([hidden]) > p > .${verdict}`).length
    badge.textContent = badge.textContent.replace(/^\d+/, counted)
  }
  const count = document.querySelectorAll("#list tbody tr:not([hidden])").length
  form.querySelector("output").textContent = count === 1 ? "1 cell" : `${count} cells`
}

function choose(row) {
  const cell = row.cells[0].textContent
  command.textContent = `steadytune verify ${row.dataset.argument || row.dataset.suite} --published ${cell}`
  for (const other of document.querySelectorAll("#list tr.chosen")) other.classList.remove("chosen")
  row.classList.add("chosen")
  return `cell=${encodeURIComponent(`${row.dataset.suite}:${cell}`)}`
}

function keep(extra) {
  const set = [...new FormData(form)].filter(([, value]) => value)
  const query = [new URLSearchParams(set).toString(), extra].filter(Boolean).join("&")
  history.replaceState(null, "", query ? `#${query}` : location.pathname + location.search)
}

function open() {
  const wanted = new URLSearchParams(location.hash.slice(1))
  for (const field of form.elements) if (field.name && wanted.has(field.name)) field.value = wanted.get(field.name)
  show()
  const cell = wanted.get("cell")
  const row = cell && rows.find(line => line.cells && `${line.dataset.suite}:${line.cells[0].textContent}` === cell)
  if (row) {
    choose(row)
    row.scrollIntoView({ block: "center" })
  }
}

form.hidden = false
form.addEventListener("input", () => { show(); keep() })
form.addEventListener("submit", event => event.preventDefault())
document.querySelector("#list tbody").addEventListener("click", event => keep(choose(event.target.closest("tr"))))
addEventListener("hashchange", open)
open()
