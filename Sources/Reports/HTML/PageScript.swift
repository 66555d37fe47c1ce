// SPDX-License-Identifier: Apache-2.0

/// What the page does beside being read: rows of entries on demand, and the search. All that it shows it sets as text.
enum PageScript {
    static let source: StaticString = #"""
        "use strict";
        (() => {
          const byId = (id) => document.getElementById(id);
          const hex = (word) => "0x" + word.toString(16);

          // Columns are runs: a word, or a first word, a step and how many.
          const words = (texts) => {
            const all = [];
            for (const text of texts) {
              const parts = text.split(" ");
              let word = BigInt(parts[0]);
              let [step, count] = [0n, 1];
              for (const part of parts.slice(1)) {
                if (part[0] === "*") count = Number(part.slice(1));
                else step = part[0] === "-" ? -BigInt(part.slice(1)) : BigInt(part.slice(1));
              }
              for (let index = 0; index < count; index += 1) {
                all.push(word);
                word += step;
              }
            }
            return all;
          };

          const data = JSON.parse(byId("data").textContent);
          const columns = {};
          for (const name of Object.keys(data)) columns[name] = words(data[name]);
          const entryCount = columns.virt.length;
          const pageSize = 50;
          let shown = null;
          let first = 0;

          const number = (index) => shown === null ? index : shown[index];
          const shownCount = () => shown === null ? entryCount : shown.length;

          const cell = (row, name, text, className) => {
            const cell = document.createElement(name);
            if (name === "th") cell.scope = "row";
            if (className) cell.className = className;
            else {
              const code = document.createElement("code");
              code.textContent = text;
              cell.append(code);
              row.append(cell);
              return;
            }
            cell.textContent = text;
            row.append(cell);
          };

          const showEntries = () => {
            const table = byId("entry-table");
            if (!table) return;
            const end = Math.min(first + pageSize, shownCount());
            const rows = [];
            for (let index = first; index < end; index += 1) {
              const entry = number(index);
              const row = document.createElement("tr");
              cell(row, "th", hex(columns.virt[entry]));
              cell(row, "td", hex(columns.phys[entry]));
              cell(row, "td", hex(columns.place[entry]));
              cell(row, "td", String(columns.size[entry]), "n");
              cell(row, "td", String(columns.came[entry]), "n");
              cell(row, "td", columns.gone[entry] === 0n ? "" : String(columns.gone[entry]), "n");
              rows.push(row);
            }
            table.tBodies[0].replaceChildren(...rows);
            const all = shown === null ? "" : " that the search finds";
            byId("entry-count").textContent = shownCount() === 0
              ? "No entry" + all + "."
              : "Entries " + (first + 1) + " to " + end + " of " + shownCount() + all + ".";
            byId("entry-back").disabled = first === 0;
            byId("entry-on").disabled = end >= shownCount();
          };

          const holds = (start, size, address) => address >= start && address < start + (size > 0n ? size : 1n);

          const findEntries = (address, text) => {
            const found = [];
            for (let index = 0; index < entryCount; index += 1) {
              const [virt, phys, place, size] =
                [columns.virt[index], columns.phys[index], columns.place[index], columns.size[index]];
              const isHit = address === null
                ? hex(virt).includes(text) || hex(phys).includes(text) || hex(place).includes(text)
                : holds(virt, size, address) || holds(phys, size, address) || place === address;
              if (isHit) found.push(index);
            }
            return found;
          };

          const places = () => document.querySelectorAll("[data-where]");

          const findPlaces = (address, text) => {
            const found = [];
            for (const place of places()) {
              const [start, end] = [place.dataset.start, place.dataset.end];
              const isIn = address !== null && start !== undefined
                && address >= BigInt(start) && address < BigInt(end);
              if (isIn || place.textContent.toLowerCase().includes(text)) found.push(place);
            }
            return found;
          };

          const item = (id, text) => {
            const item = document.createElement("li");
            const link = document.createElement("a");
            link.href = "#" + id;
            link.textContent = text;
            item.append(link);
            return item;
          };

          const search = () => {
            const text = byId("query").value.trim().toLowerCase();
            const list = byId("found-list");
            first = 0;
            if (text.length < 2) {
              shown = null;
              byId("found").hidden = true;
              showEntries();
              return;
            }
            const address = /^0x[0-9a-f]{1,16}$/.test(text) ? BigInt(text) : null;
            shown = /^[0-9a-fx]+$/.test(text) ? findEntries(address, text) : [];
            // The beginning of an address finds those that begin so.
            if (shown.length === 0 && address !== null) shown = findEntries(null, text);
            const items = [];
            if (shown.length > 0) {
              const entry = shown[0];
              const window = hex(columns.virt[entry]) + " → " + hex(columns.phys[entry]);
              items.push(item("entries", shown.length === 1
                ? "Entry " + window : shown.length + " entries, the first " + window));
            }
            const found = findPlaces(address, text);
            for (const place of found.slice(0, 100)) items.push(item(place.id, place.dataset.where));
            list.replaceChildren(...items);
            const count = found.length + (shown.length > 0 ? 1 : 0);
            byId("found-count").textContent = count === 0 ? "Nothing in this page has it."
              : count === 1 ? "In one place:" : "In " + count + " places:";
            byId("found").hidden = false;
            if (shown.length === 0) shown = null;
            showEntries();
          };

          let timer = 0;
          byId("query").addEventListener("input", () => {
            clearTimeout(timer);
            timer = setTimeout(search, 120);
          });
          byId("query").addEventListener("keydown", (event) => {
            if (event.key !== "Escape") return;
            byId("query").value = "";
            search();
          });
          byId("search").addEventListener("submit", (event) => {
            event.preventDefault();
            search();
          });
          document.addEventListener("click", (event) => {
            const link = event.target.closest("a.a");
            if (link === null) return;
            byId("query").value = link.textContent;
            search();
          });
          // An address that is drawn nowhere can be looked for all the same.
          for (const code of document.querySelectorAll("code.a")) {
            const link = document.createElement("a");
            link.className = "a";
            link.href = "#found";
            link.textContent = code.textContent;
            code.replaceWith(link);
          }
          if (byId("entry-view")) {
            byId("entry-back").addEventListener("click", () => {
              first = Math.max(first - pageSize, 0);
              showEntries();
            });
            byId("entry-on").addEventListener("click", () => {
              first += pageSize;
              showEntries();
            });
            byId("entry-view").hidden = false;
          }
          byId("search").hidden = false;
          showEntries();
          document.documentElement.dataset.ready = String(entryCount);
        })();
        """#
}
