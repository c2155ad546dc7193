// JupyterLab's launcher gets a "SMOTExT" section: one card for each notebook in cards.json, which
// opens a copy in the current folder. Written by hand as the module that JupyterLab expects of a
// prebuilt extension (a container with init and get), so that nothing has to be built.

(() => {
  const NAME = "smotext-lab";
  const here = document.currentScript.src.replace(/[^/]*$/, "");
  let scope = {};

  const ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">' +
    '<path fill="none" stroke="#a9b2bd" stroke-width="1.6" stroke-dasharray="2 2" d="M5 18 19 6"/>' +
    '<circle cx="5" cy="18" r="3.2" fill="#0072b2"/><circle cx="19" cy="6" r="3.2" fill="#0072b2"/>' +
    '<path fill="#e69f00" d="M12 7.4 16.6 12 12 16.6 7.4 12z"/></svg>';

  // a module that JupyterLab shares with its extensions, in the newest version there is
  async function shared(name) {
    const versions = Object.keys(scope[name] ?? {});
    if (!versions.length) throw new Error(`${NAME}: JupyterLab shares no ${name}`);
    versions.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    return (await scope[name][versions.at(-1)].get())();
  }

  async function read(file) {
    const answer = await fetch(here + file, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${NAME}: ${file} cannot be read (${answer.status})`);
    return answer.json();
  }

  // The server makes a new file and refuses to rename it onto one that is there, so nothing is
  // ever written over, not even by two who click at once.
  async function copyInto(contents, folder, name, content) {
    const fresh = await contents.newUntitled({ path: folder, type: "notebook" });
    await contents.save(fresh.path, { type: "notebook", format: "json", content });
    for (let number = 0; number < 1000; number += 1) {
      const path = `${folder ? folder + "/" : ""}${name}${number ? "-" + number : ""}.ipynb`;
      const there = await contents.get(path, { content: false }).then(() => true, () => false);
      if (there) continue;
      try {
        return (await contents.rename(fresh.path, path)).path;
      } catch {
        continue; // somebody was quicker
      }
    }
    return fresh.path;
  }

  async function plugin() {
    const { ILauncher } = await shared("@jupyterlab/launcher");
    const { LabIcon } = await shared("@jupyterlab/ui-components");
    return {
      id: `${NAME}:launcher`,
      autoStart: true,
      optional: [ILauncher],
      activate: async (app, launcher) => {
        const command = `${NAME}:open`;
        const icon = new LabIcon({ name: `${NAME}:icon`, svgstr: ICON });
        app.commands.addCommand(command, {
          label: (args) => args.title ?? "SMOTExT notebook",
          caption: (args) => args.caption ?? "",
          icon: (args) => (args.isPalette ? undefined : icon),
          execute: async ({ file, cwd }) => {
            const name = file.replace(/^.*\//, "").replace(/\.ipynb$/, "");
            const contents = app.serviceManager.contents;
            const path = await copyInto(contents, cwd ?? "", name, await read(file));
            return app.commands.execute("docmanager:open", { path, factory: "Notebook" });
          },
        });
        const { cards } = await read("cards.json");
        cards.forEach((card, rank) => {
          launcher?.add({ command, args: card, category: "SMOTExT", rank });
        });
      },
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB[NAME] = {
    init: (given) => { scope = given; },
    get: async () => {
      const made = await plugin();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
