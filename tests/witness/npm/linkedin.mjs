// Sends elements to a segment by LinkedIn's own client.
import linkedin from "linkedin-api-client";

async function act(url, accessToken, entities, versionString) {
  const client = new linkedin.RestliClient();
  client.axiosInstance.interceptors.request.use((request) => {
    const { pathname } = new URL(request.url);
    return { ...request, url: url + pathname };
  });
  const resourcePath = "/dmpSegments/{id}/users";
  const pathKeys = { id: 10804 };
  const request = { resourcePath, pathKeys, entities, accessToken, versionString };
  const answer = await client.batchCreate(request);
  return answer.data;
}

const membersOf = (error) => ({
  status: error.response?.status,
  response: error.response?.data,
});
