// A question to the server, and its answer as it is written: gradio's call, then its stream of events.

async function post(path, body, type) {
  const reply = await fetch(path, { method: "POST", body, headers: type ? { "Content-Type": type } : {} });
  if (!reply.ok) throw new Error(`the server answers ${reply.status}`);
  return reply.json();
}

// onEvent: every event of morerl.page.follow; resolves when there are no more
async function ask(question, onEvent) {
  const { event_id: id } = await post("gradio_api/call/ask", JSON.stringify({ data: [question] }), "application/json");
  const source = new EventSource(`gradio_api/call/ask/${id}`);
  return new Promise((resolve, reject) => {
    source.addEventListener("generating", ({ data }) => onEvent(JSON.parse(data)[0]));
    source.addEventListener("complete", () => {
      source.close();
      resolve();
    });
    // one name for what the server says and for a connection that broke
    source.addEventListener("error", () => {
      source.close();
      reject(new Error("The server broke off; its terminal says why."));
    });
  });
}
