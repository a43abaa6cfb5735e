# The router alone: it needs no GPU. Build: docker build -f router.Dockerfile -t patchwright-sglang-router .
FROM python:3.11-slim
RUN pip install --no-cache-dir sglang-router==0.3.2 \
 && useradd --system --uid 10001 router
COPY launch_router.sh /usr/local/bin/launch_router.sh
USER 10001
EXPOSE 8000 29000
ENTRYPOINT ["sh", "/usr/local/bin/launch_router.sh"]
